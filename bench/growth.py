"""What must not grow with what is stored: the time to be ready, and the cost of a pull."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from bench.processes import Run, memory_mib, wrk
from bench.rows import Goal, Row
from bench.servers import NAME, pierhead
from tests.peers.images import Blob, random_bytes
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Wire

_TAGS_PER_IMAGE = 100
_PULLED_BYTES_MAX = 200 << 20
_LUA = """
request = function()
  local tag = math.random(0, PICKED - 1) * APART
  return wrk.format("GET", string.format("/v2/filled/image-%d/manifests/t-%d", math.floor(tag / 100), tag))
end
"""


def growth(folder: Path, stored: Sequence[int], picked: int, seconds: float, rounds: int) -> list[Row]:
    """For each number of ``stored`` tags: seconds until ready, and pulls of ``picked`` of them, spread evenly.

    The same requests are made at every size, so that only what is stored differs. The servers run together and take
    turns. Then, of the largest alone, since they push out of memory what is remembered: pulls of any tag that there is,
    hardly one of which was asked for before.
    """
    found: list[Row] = []
    runs: dict[str, list[Run]] = {}
    with contextlib.ExitStack() as running:
        subjects = []
        for tags in stored:
            place = folder / f"tags-{tags}"
            with Pierhead(house(), place) as first:
                pass
            fill(first.data / "pierhead.db", tags)
            ready = min(_seconds_until_ready(place) for _ in range(rounds))
            found.append(Row(f"ready with {tags:,} tags (µs)", "pierhead", ready * 1e6, 0.0))
            subject = running.enter_context(pierhead(place, {}))
            subjects.append((_among(picked, tags), subject, _script(place, picked, tags // picked)))
        largest = stored[-1]
        at_random = (_any(largest), subjects[-1][1], _script(folder / f"tags-{largest}", largest, 1))
        for what, subject, script in subjects * rounds + [at_random] * rounds:
            run = wrk(subject.pid, subject.url("/"), seconds, subject.headers, script)
            runs.setdefault(what, []).append(run)
    return found + [
        Row(what, "pierhead", min(run.each for run in done), max(run.rate for run in done))
        for what, done in runs.items()
    ]


def goals(rows: Sequence[Row], stored: Sequence[int], picked: int) -> list[Goal]:
    """What must not grow, of the rows that ``growth`` returned."""
    each = {row.what: row.each for row in rows}
    few, many = (each[_among(picked, tags)] for tags in (stored[0], stored[-1]))
    ready = each[f"ready with {stored[-1]:,} tags (µs)"]
    return [
        Goal(
            f"{picked:,} tags among {stored[-1]:,}: times what they cost among {stored[0]:,}", many / few, 1.25, False
        ),
        Goal(f"ready with {stored[-1]:,} tags: seconds", ready / 1e6, 1, False),
    ]


def note(rows: Sequence[Row], stored: Sequence[int], picked: int) -> str:
    """What the row beside them says."""
    each = {row.what: row.each for row in rows}
    times = each[_any(stored[-1])] / each[_among(picked, stored[0])]
    return (
        f"Any of {stored[-1]:,} tags at random costs {times:.2f} times as much as {picked:,} among {stored[0]:,}: "
        "hardly one was asked for before, so nothing of it is remembered."
    )


def _among(picked: int, stored: int) -> str:
    return f"manifest by tag, {picked:,} of {stored:,}"


def _any(stored: int) -> str:
    return f"manifest by tag, any of {stored:,}"


def _script(folder: Path, picked: int, apart: int) -> str:
    script = folder / f"any-of-{picked}.lua"
    script.write_text(_LUA.replace("PICKED", str(picked)).replace("APART", str(apart)))
    return str(script)


def _seconds_until_ready(folder: Path) -> float:
    began = time.monotonic()
    with Pierhead(house(), folder):
        return time.monotonic() - began


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


def memory_goals(rest: float, most: float) -> list[Goal]:
    """Of MiB as ``memory`` returns them, in MB."""
    rest, most = (mebibytes * 1.048576 for mebibytes in (rest, most))
    return [
        Goal("memory at rest, MB", rest, 80, False),
        Goal("memory while clients push and pull, MB above that", most - rest, 200, False),
    ]


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
