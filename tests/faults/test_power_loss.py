"""The power fails at any point of a durable write: all that was acknowledged is there, whole, and the program starts.

The file system below keeps only what was synced, which no real one is kinder than; see ``lossy.py``.
"""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead.adapters.system import SystemClock
from pierhead.domain.digest import Digest
from pierhead.ports.faults import FaultPoint
from tests.contracts.rows import HandClock
from tests.contracts.test_metadata_sqlite import verify_chain
from tests.faults.test_reclaim_kills import all_there, late, run_until_killed
from tests.faults.workload import IMAGE, LEASE, QUARANTINE
from tests.house.tree import ROOT
from tests.races.registry import registry


class Disk:
    """A mounted lossy file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder.parent / "lossy.log").open("wb")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.lossy", str(folder)],
            env={"PYTHONPATH": str(ROOT)},
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + 10
        while not os.path.ismount(folder):
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.unmount()
                pytest.skip(f"no FUSE here: {(folder.parent / 'lossy.log').read_text()[-200:].strip()}")
            time.sleep(0.01)

    def cut(self, seed: bytes) -> None:
        """The power fails; nobody may have a file open."""
        os.setxattr(self.folder, "user.cut", seed)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True)
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not Path("/dev/fuse").exists() or os.geteuid() != 0:
        pytest.skip("no FUSE here: /dev/fuse and root are needed")
    if ctypes.util.find_library("fuse3") is None:
        pytest.skip("no FUSE here: libfuse3 is not installed (scripts/peers installs it)")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = Disk(folder)
    yield mounted
    mounted.unmount()


def write(path: Path, *, file: bool, folder: bool) -> None:
    """10,000 bytes, with or without a sync of the file and of its folder."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, b"x" * 10_000)
    if file:
        os.fsync(handle)
    os.close(handle)
    if folder:
        handle = os.open(path.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def test_the_lossy_disk_loses_what_was_not_synced_and_that_only(disk: Disk) -> None:
    """Without this the other tests would hold on any disk."""
    for file in (False, True):
        for folder in (False, True):
            place = disk.folder / f"{file}-{folder}"
            place.mkdir()
            write(place / "a", file=file, folder=folder)
    handle = os.open(disk.folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    disk.cut(b"")
    found = {path.parent.name: path.stat().st_size for path in disk.folder.glob("*/a")}
    assert found == {"False-True": 0, "True-True": 10_000}


@pytest.mark.parametrize("seed", [b"", b"1", b"2"], ids=["all lost", "torn 1", "torn 2"])
@pytest.mark.parametrize("point", FaultPoint, ids=lambda point: point.value)
async def test_what_was_acknowledged_survives_the_power_going_at_any_point(
    disk: Disk, point: FaultPoint, seed: bytes
) -> None:
    data = disk.folder / "data"
    acknowledged = run_until_killed(data, point, late(point))
    assert acknowledged
    disk.cut(seed)
    await check(data, acknowledged)


async def check(data: Path, acknowledged: set[Digest]) -> None:
    verify_chain(data / "pierhead.db")
    clock = HandClock(SystemClock().now())
    async with registry(data, clock, lease=LEASE, quarantine=QUARANTINE) as on:
        assert await on.store.check() == []
        await all_there(on, acknowledged)
        for _ in range(3):
            await on.drain(on.reclaim())
            clock.advance(LEASE + QUARANTINE)
        await all_there(on, acknowledged)
        await on.push_image(IMAGE, "afterwards", b"it goes on" * 5000)
