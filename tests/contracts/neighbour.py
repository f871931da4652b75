"""Another process on the same data folder: ``python -m tests.contracts.neighbour ROOT upload|fill NAME SIZE [THEN]``.

Appends SIZE bytes in small steps, writes ``ready`` to its output and does THEN (keep, land, fail, or nothing, that is:
wait) as soon as a line comes in. Ends when its input does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pierhead.adapters.files.fills import FileFills
from pierhead.adapters.files.store import FileBlobs
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import UploadBusy
from pierhead.ports.faults import NoFaults
from tests.contracts.blobs import pattern


def say(line: str) -> None:
    print(line, flush=True)


def heard() -> bool:
    return sys.stdin.readline() != ""


async def upload(store: FileBlobs, name: str, size: int, then: str) -> None:
    try:
        incoming = await store.begin(name, "sha256") if then != "resume" else await store.resume(name, "sha256")
    except UploadBusy:
        say("busy")
        return
    body = pattern(size)
    for start in range(0, size, 100_000):
        await incoming.append([body[start : start + 100_000]])
    say("ready")
    await asyncio.to_thread(heard)
    if then == "keep":
        await incoming.keep()
        say("kept")
    elif then == "land":
        await incoming.land(await incoming.digest("sha256"))
        say("landed")
    await asyncio.to_thread(heard)


async def fill(store: FileBlobs, name: str, size: int, then: str) -> None:
    lead = await FileFills(store).lead(Digest.parse(name))
    if lead is None:
        say("busy")
        return
    body = pattern(size)
    half = size // 2
    await lead.append([body[:half]])
    say("ready")
    await asyncio.to_thread(heard)
    await lead.append([body[half:]])
    if then == "land":
        await lead.land(await lead.digest("sha256"))
        say("landed")
    elif then == "fail":
        await lead.fail("no more")
        say("failed")
    await asyncio.to_thread(heard)
    await lead.close()


async def main(root: str, kind: str, name: str, size: str, then: str = "") -> None:
    store = await FileBlobs.start(Path(root), SystemClock(), SystemEntropy(), NoFaults())
    await (upload if kind == "upload" else fill)(store, name, int(size), then)
    store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
