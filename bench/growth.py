"""What must not grow with what is stored: the time to be ready, and the cost of a pull."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from bench.processes import memory_mib, wrk
from bench.rows import Row
from bench.servers import NAME, pierhead
from tests.peers.images import Blob, random_bytes
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Wire

_TAGS_PER_IMAGE = 100
_PULLED_BYTES_MAX = 200 << 20
_LUA = """
local n = 0
request = function()
  n = (n * 1103515245 + 12345) % 2147483648
  local tag = n % COUNT
  return wrk.format("GET", string.format("/v2/filled/image-%d/manifests/t-%d", math.floor(tag / 100), tag))
end
"""


def growth(folder: Path, tags: int, seconds: float) -> list[Row]:
    """Starts on a data folder that holds ``tags`` tags: seconds until ready, then pulls of tags at random."""
    first = Pierhead(house(), folder)
    with first:
        pass
    fill(first.data / "pierhead.db", tags)
    began = time.monotonic()
    with pierhead(folder, {}) as subject:
        ready = time.monotonic() - began
        script = folder / "random.lua"
        script.write_text(_LUA.replace("COUNT", str(tags)))
        run = wrk(subject.pid, subject.url("/"), seconds, subject.headers, str(script))
    return [
        Row(f"ready with {tags:,} tags (µs)", "pierhead", ready * 1e6, 0.0),
        Row(f"manifest by random tag of {tags:,}", "pierhead", run.each, run.rate),
    ]


def fill(database: Path, tags: int) -> None:
    """Writes images, manifests and tags straight into the database; each manifest names no blob."""
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA synchronous=OFF")
    repository = connection.execute("SELECT id FROM repositories WHERE name='docker-hosted-dev'").get
    with connection:
        images = (tags + _TAGS_PER_IMAGE - 1) // _TAGS_PER_IMAGE
        connection.executemany(
            "INSERT INTO images (id, repository_id, name, created) VALUES (?,?,?,0)",
            ((1000 + n, repository, f"filled/image-{n}") for n in range(images)),
        )
        for statement, rows in _TABLES:
            connection.executemany(statement, rows(tags))
    connection.execute("ANALYZE")
    connection.close()


def _manifest(n: int) -> tuple[bytes, bytes]:
    body = json.dumps({"schemaVersion": 2, "layers": [], "config": {}, "annotations": {"n": str(n)}}).encode()
    return hashlib.sha256(body).digest(), body


def _manifests(tags: int) -> Iterator[tuple[object, ...]]:
    for n in range(tags):
        digest, body = _manifest(n)
        yield 1000 + n, digest, "application/vnd.oci.image.manifest.v1+json", "", len(body), 0


def _bodies(tags: int) -> Iterator[tuple[object, ...]]:
    return ((1000 + n, _manifest(n)[1]) for n in range(tags))


def _links(tags: int) -> Iterator[tuple[object, ...]]:
    return ((1000 + n // _TAGS_PER_IMAGE, 1000 + n) for n in range(tags))


def _tags(tags: int) -> Iterator[tuple[object, ...]]:
    return ((1000 + n // _TAGS_PER_IMAGE, f"t-{n}", 1000 + n, _manifest(n)[0], n) for n in range(tags))


_TABLES = (
    ("INSERT INTO manifests (id, digest, media_type, artifact_type, size, created) VALUES (?,?,?,?,?,?)", _manifests),
    ("INSERT INTO manifest_bodies (manifest_id, body) VALUES (?,?)", _bodies),
    ("INSERT INTO manifest_links (image_id, manifest_id, created) VALUES (?,?,0)", _links),
    (
        """INSERT INTO tags (image_id, name, manifest_id, digest, since, once, account, event)
           VALUES (?,?,?,?,?,0,'bench',0)""",
        _tags,
    ),
)


def memory(folder: Path, size: int, clients: int, seconds: float) -> tuple[float, float]:
    """MiB at rest, and the most while half of ``clients`` push and half pull blobs of ``size`` bytes for a while."""
    with pierhead(folder, {}) as subject:
        rest = memory_mib(subject.pid)
        blob = Blob(random_bytes(min(size, _PULLED_BYTES_MAX)), "application/octet-stream")
        with Wire(subject.push, "admin", subject.password) as wire:
            wire.push_blob(NAME, blob)
        place = ["127.0.0.1", str(subject.push), subject.authorization, NAME]
        push = [sys.executable, "-m", "bench.pushing", *place, "stream", str(size), str(clients - clients // 2)]
        pull = ["wrk", "-t1", f"-c{clients // 2}", f"-d{seconds:.0f}s", "--timeout", "60s"]
        for header in subject.headers:
            pull += ["-H", header]
        pull.append(subject.url(f"/v2/{NAME}/blobs/{blob.digest}"))
        loads = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in (push, pull)
        ]
        end, most = time.monotonic() + seconds, rest
        while time.monotonic() < end:
            most = max(most, memory_mib(subject.pid))
            time.sleep(0.05)
        for load in loads:
            load.terminate()
            load.wait()
    return rest, most
