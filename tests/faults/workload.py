"""A process that pushes, deletes and reclaims, says what was acknowledged, and is killed at a named point.

Run as ``python -m tests.faults.workload FOLDER POINT HITS``: at the HITS-th time that POINT is reached it kills itself,
as if by ``kill -9``. A line of its output is ``+ DIGEST`` (acknowledged) or ``- DIGEST`` (about to be deleted).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from pierhead.domain.digest import Digest
from pierhead.ports.faults import FaultPoint
from tests.contracts.rows import SECOND, HandClock
from tests.races.registry import Registry, bodies, registry

IMAGE = "app"
LEASE = 100 * SECOND
QUARANTINE = 10 * SECOND
ROUNDS = 30


class KillAt:
    """Ends the process, with whatever its threads are doing, at a point."""

    def __init__(self, point: FaultPoint, hits: int) -> None:
        self._point = point
        self._left = hits

    def hit(self, point: FaultPoint) -> None:
        if point is self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def say(text: str) -> None:
    """To the pipe at once: it outlives this process."""
    os.write(1, f"{text}\n".encode())


async def work(folder: Path, faults: KillAt) -> None:
    clock = HandClock()
    async with registry(folder, clock, lease=LEASE, quarantine=QUARANTINE, faults=faults) as on:
        reclaim = on.reclaim(faults=faults, batch=3)
        kept: list[Digest] = []
        for number in range(ROUNDS):
            layers = bodies(6, f"round {number % 5}")
            kept.append(await on.push_image(IMAGE, f"t{number}", *layers[number % 3 :: 2]))
            say(f"+ {kept[-1]}")
            if len(kept) > 4:
                await delete(on, kept.pop(0))
            clock.advance(LEASE // 2)
            for _ in range(3):
                await reclaim()


async def delete(on: Registry, digest: Digest) -> None:
    say(f"- {digest}")
    await on.delete_manifest(IMAGE, digest)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), KillAt(FaultPoint(sys.argv[2]), int(sys.argv[3]))))
