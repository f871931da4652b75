"""Killed at every named point of a durable write: what was acknowledged is there, and the rest goes by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pierhead.adapters.system import SystemClock
from pierhead.domain.digest import Digest
from pierhead.jobs.loop import Failed, Idle
from pierhead.jobs.reap_uploads import ReapUploads
from pierhead.jobs.scrub import Scrub
from pierhead.ports.faults import FaultPoint
from tests.contracts.rows import DAY, HandClock
from tests.contracts.test_metadata_sqlite import verify_chain
from tests.faults.workload import IMAGE, LEASE, QUARANTINE
from tests.house.tree import ROOT
from tests.races.registry import Registry, registry


def run_until_killed(folder: Path, point: FaultPoint, hits: int) -> set[Digest]:
    """Runs the workload until it kills itself; returns what it acknowledged and did not begin to delete."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.workload", str(folder), point.value, str(hits)],
        env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == -9, f"{point} was not reached {hits} times: {done.returncode}\n{done.stderr}"
    acknowledged: set[Digest] = set()
    for line in done.stdout.splitlines():
        sign, digest = line.split()
        (acknowledged.add if sign == "+" else acknowledged.discard)(Digest.parse(digest))
    return acknowledged


def late(point: FaultPoint) -> int:
    """How often a point is reached before the process is killed there in the midst of its work."""
    return {"group": 40, "blob": 12, "reclaim": 6}[point.value.partition(".")[0]]


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("point", FaultPoint, ids=lambda point: point.value)
async def test_a_process_killed_anywhere_leaves_all_that_it_acknowledged_and_nothing_for_ever(
    tmp_path: Path, point: FaultPoint, when: str
) -> None:
    acknowledged = run_until_killed(tmp_path, point, 1 if when == "early" else late(point))
    assert acknowledged or when == "early"
    verify_chain(tmp_path / "pierhead.db")
    clock = HandClock(SystemClock().now())
    async with registry(tmp_path, clock, lease=LEASE, quarantine=QUARANTINE) as on:
        await all_there(on, acknowledged)
        for _ in range(4):
            await on.drain(on.reclaim(batch=5))
            clock.advance(LEASE + QUARANTINE)
        await all_there(on, acknowledged)

        clock.advance(2 * DAY)
        scrub = Scrub(on.store, on.blobs, clock, "one")
        assert not isinstance(await scrub(), Failed)
        assert await on.files() == await on.files_named()
        assert await scrub() == Idle()
        await ReapUploads(on.store, on.blobs, clock, "one", DAY, on.hosted.parts.sessions)()
        assert [upload async for batch in on.blobs.uploads() for upload in batch] == []
        await all_there(on, acknowledged)
        await on.push_image(IMAGE, "afterwards", b"it goes on")


async def all_there(on: Registry, acknowledged: set[Digest]) -> None:
    for digest in acknowledged:
        await on.read_image(IMAGE, digest)
