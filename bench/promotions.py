"""What must not grow with an image: the time of a promotion, at a megabyte and at ten gigabytes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from bench.processes import Run, cpu_seconds
from bench.rows import Goal, Row, best
from tests.peers.images import OCI_LAYER, Blob, image, json_blob
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Wire

_SIZES = {"1 MB": 1_000_000, "10 GB": 10_000_000_000}
_DEV = "docker-hosted-dev"
_BODY = {"Content-Type": "application/json"}


def promotions(folder: Path, count: int, rounds: int) -> list[Row]:
    """``count`` images of each size, each with a layer of that size, go from dev to uat in each round, in turns."""
    with Pierhead(house(), folder) as server:
        for size, bytes_ in _SIZES.items():
            _prepare(server, _name(size), bytes_)
    runs: dict[str, list[Run]] = {size: [] for size in _SIZES}
    with Pierhead(house(), folder) as server, server.wire() as wire:
        for size, bytes_ in _SIZES.items():
            _register(server, _name(size), bytes_)
        for round_ in range(rounds):
            for size, bytes_ in _SIZES.items():
                tags = [f"{round_}.{number}" for number in range(count)]
                for tag in tags:
                    wire.put_manifest(f"{_DEV}/{_name(size)}", tag, _manifest(bytes_, tag)).expect(201)
                assert server.process is not None
                runs[size].append(_promoted(wire, server.process.pid, _name(size), tags))
    return [best(_what(size), "pierhead", done) for size, done in runs.items()]


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Of what ``promotions`` returned."""
    each = {row.what: row.each for row in rows}
    small, large = (each[_what(size)] for size in _SIZES)
    return [Goal("promotion at 10 GB: times what it costs at 1 MB", large / small, 1.25, False)]


def _promoted(wire: Wire, pid: int, name: str, tags: Sequence[str]) -> Run:
    before, began = cpu_seconds(pid), time.monotonic()
    for tag in tags:
        body = json.dumps({"image": name, "tag": tag, "to": "uat"}).encode()
        wire.request("POST", "/api/v1/promotions", body, _BODY).expect(200)
    return Run(len(tags), time.monotonic() - began, cpu_seconds(pid) - before)


def _what(size: str) -> str:
    return f"promotion of an image of {size}"


def _name(size: str) -> str:
    return f"promoted/{size.replace(' ', '').lower()}"


def _prepare(server: Pierhead, name: str, bytes_: int) -> None:
    """What all images of this size share, pushed as clients push it."""
    with server.wire() as wire:
        wire.push(f"{_DEV}/{name}", "base", image(seed=bytes_))


def _register(server: Pierhead, name: str, bytes_: int) -> None:
    """A layer of any size without the time that its bytes take: a hole of that length in a file, and its rows.

    Its digest is that of its description: nobody reads it here.
    """
    digest = _layer_digest(bytes_)
    generation = f"{bytes_:016x}"
    place = server.data / "blobs" / "sha256" / digest[:2] / f"{digest}.{generation}"
    with place.open("wb") as file:
        file.truncate(bytes_)
    connection = apsw.Connection(str(server.data / "pierhead.db"))
    connection.set_busy_timeout(5000)
    with connection:
        connection.execute(
            "INSERT INTO blobs (digest, size, state, generation, verified) VALUES (?,?,1,?,?)",
            (bytes.fromhex(digest), bytes_, generation, time.time_ns() // 1000),
        )
        connection.execute(
            """INSERT INTO blob_links (image_id, blob_id, created)
               SELECT i.id, b.id, 0 FROM images i, blobs b WHERE i.name=? AND b.digest=?""",
            (name, bytes.fromhex(digest)),
        )
    connection.close()


def _layer_digest(bytes_: int) -> str:
    return hashlib.sha256(b"a hole of %d bytes" % bytes_).hexdigest()


def _manifest(bytes_: int, tag: str) -> Blob:
    """One of many that name the same layer."""
    base = image(seed=bytes_)
    layer = {"mediaType": OCI_LAYER, "digest": f"sha256:{_layer_digest(bytes_)}", "size": bytes_}
    content = {
        "schemaVersion": 2,
        "mediaType": base.manifest.media_type,
        "config": base.config.descriptor(),
        "layers": [layer],
        "annotations": {"n": tag},
    }
    return json_blob(content, base.manifest.media_type)
