"""The durable write of a blob when the world fails at each of its steps: nothing is acknowledged, nothing is lost.

Expected behaviour per fault: the bytes of a failed landing are thrown away at once, what was stored before stays
readable, and after an I/O error nothing is written until a restart.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead.adapters.files.fills import FileFills
from pierhead.adapters.files.store import FileBlobs
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import Incoming, StoreFailed, UploadMissing
from pierhead.ports.faults import FaultPoint
from pierhead.ports.fills import FillLead
from tests.contracts.blobs import fetch, kept, land, pattern, push, stored, upload_id
from tests.contracts.files import Another, files_below, start, stores

POINTS = [point for point in FaultPoint if point.name.startswith("BLOB_")]
BODY = pattern(200_000)
KEY = Digest.of(BODY)


class Failing:
    """Fails once at one point, and notes which points were passed."""

    def __init__(self, point: FaultPoint, number: int) -> None:
        self.point: FaultPoint | None = point
        self.number = number
        self.passed: list[FaultPoint] = []

    def hit(self, point: FaultPoint) -> None:
        self.passed.append(point)
        if point is self.point:
            self.point = None
            raise OSError(self.number, os.strerror(self.number))


class Dying:
    """Kills its own process at one point."""

    def __init__(self, point: FaultPoint) -> None:
        self.point = point

    def hit(self, point: FaultPoint) -> None:
        if point is self.point:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "data"
    asyncio.run(start(root)).close()
    return root


@pytest.fixture
def root(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "data"))


@pytest.fixture
def another(root: Path) -> Iterator[Another]:
    with stores(root) as made:
        yield made


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
async def test_a_landing_that_fails_leaves_nothing_and_says_whether_the_disk_is_full(
    root: Path, point: FaultPoint, number: int
) -> None:
    before = files_below(root)
    store = await start(root, Failing(point, number))
    incoming = await store.begin(upload_id(1), "sha256", len(BODY))
    await incoming.append([BODY])
    with pytest.raises(StoreFailed) as failure:
        await land(incoming)
    assert failure.value.full == (number != errno.EIO)
    assert files_below(root) == before
    assert store.held(upload_id(1)) is None
    await incoming.discard()
    store.close()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_after_an_i_o_error_nothing_is_written_until_a_restart_and_reads_go_on(
    root: Path, another: Another, point: FaultPoint
) -> None:
    faults = Failing(point, errno.EIO)
    store = await start(root, faults)
    old = await another()
    held = await push(old, pattern(50_000), 2)
    open_before = await store.begin(upload_id(4), "sha256")
    with pytest.raises(StoreFailed):
        await push(store, BODY)
    assert "Input/output error" in str(store.health)
    for refused in (store.begin(upload_id(3), "sha256"), store.begin(upload_id(3), "sha256", 10)):
        with pytest.raises(StoreFailed, match="until a restart"):
            await refused
    with pytest.raises(StoreFailed, match="until a restart"):
        await store.resume(upload_id(3), "sha256")
    with pytest.raises(StoreFailed, match="until a restart"):
        await open_before.append([b"x"])
    with pytest.raises(StoreFailed, match="until a restart"):
        await FileFills(store).lead(KEY)
    assert fetch(store, held) == pattern(50_000)
    store.close()
    restarted = await another()
    assert fetch(restarted, await push(restarted, BODY)) == BODY
    assert await kept(restarted) == {}


async def test_a_full_disk_is_no_reason_to_stop_writing(root: Path) -> None:
    store = await start(root, Failing(FaultPoint.BLOB_SYNCED, errno.ENOSPC))
    with pytest.raises(StoreFailed):
        await push(store, BODY)
    assert store.health is None
    assert fetch(store, await push(store, BODY)) == BODY
    store.close()


async def test_the_steps_of_a_landing_come_in_their_order(root: Path) -> None:
    faults = Failing(FaultPoint.GROUP_BEGUN, errno.EIO)
    store = await start(root, faults)
    await push(store, BODY)
    assert faults.passed == POINTS
    store.close()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_a_fill_whose_landing_fails_tells_its_followers_and_leaves_nothing(root: Path, point: FaultPoint) -> None:
    before = files_below(root)
    store = await start(root, Failing(point, errno.ENOSPC))
    fills = FileFills(store)
    lead = await fills.lead(KEY)
    tail = await fills.follow(KEY)
    assert lead is not None
    assert tail is not None
    await lead.append([BODY])
    with pytest.raises(StoreFailed):
        await lead.land(KEY)
    assert await tail.end() == "failed"
    tail.close()
    await lead.close()
    assert files_below(root) == before
    store.close()


_PUSH_AND_DIE = """
import asyncio, sys
from pathlib import Path
from pierhead.ports.faults import FaultPoint
from tests.contracts.blobs import push
from tests.contracts.files import start
from tests.faults.test_blob_landing import BODY, Dying

async def main():
    store = await start(Path(sys.argv[1]), Dying(FaultPoint[sys.argv[2]]))
    await push(store, BODY)

asyncio.run(main())
"""


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
async def test_a_process_killed_in_a_landing_leaves_only_what_can_be_found_and_taken_away(
    root: Path, another: Another, point: FaultPoint
) -> None:
    command = [sys.executable, "-c", _PUSH_AND_DIE, str(root), point.name]
    died = await asyncio.to_thread(subprocess.run, command, cwd=Path(__file__).parents[2], timeout=60)
    assert died.returncode == -signal.SIGKILL
    store = await another()
    assert list(await kept(store)) == [upload_id(1)]
    orphans = await stored(store)
    if point in {FaultPoint.BLOB_WRITTEN, FaultPoint.BLOB_SYNCED}:
        # Not landed: the client finds its bytes where it left them, and may finish.
        assert orphans == []
        again = await land(await store.resume(upload_id(1), "sha256"))
    else:
        # Landed, but no row says so: a stored blob that nobody may write to, and an upload that is over.
        assert [(one.digest, one.size) for one in orphans] == [(KEY, len(BODY))]
        assert store.held(upload_id(1)) is None
        with pytest.raises(UploadMissing):
            await store.resume(upload_id(1), "sha256")
        await store.drop(upload_id(1))
        again = await push(store, BODY)
        assert len(await stored(store)) == 2
        await store.delete([(one.digest, one.generation) for one in orphans])
    assert fetch(store, again) == BODY
    assert [one.generation for one in await stored(store)] == [again.generation]
    assert await kept(store) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "pierhead-test", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a full disk needs root and mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder / "data"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def used(root: Path) -> int:
    found = os.statvfs(root)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


async def fill_up(writer: Incoming | FillLead) -> None:
    for turn in range(20):
        await writer.append([pattern(400_000, turn)])


async def test_a_full_disk_refuses_before_the_first_byte_if_the_length_was_told(small_disk: Path) -> None:
    with stores(small_disk) as another:
        store = await another()
        before = used(small_disk)
        with pytest.raises(StoreFailed) as failure:
            await store.begin(upload_id(1), "sha256", 8_000_000)
        assert failure.value.full
        with pytest.raises(StoreFailed):
            await FileFills(store).lead(KEY, 8_000_000)
        assert used(small_disk) == before
        assert await kept(store) == {}
        assert os.listdir(small_disk / "fills") == []


async def test_a_disk_that_fills_up_gives_the_bytes_back_at_once_and_works_again(small_disk: Path) -> None:
    with stores(small_disk) as another:
        store = await another()
        held = await push(store, pattern(50_000), 2)
        before = used(small_disk)
        incoming = await store.begin(upload_id(1), "sha256")
        with pytest.raises(StoreFailed) as failure:
            await fill_up(incoming)
        assert failure.value.full
        with pytest.raises(StoreFailed) as again:
            await incoming.keep()
        assert (str(again.value), again.value.full) == (str(failure.value), True)
        await incoming.discard()
        assert used(small_disk) == before
        assert store.health is None
        assert fetch(store, held) == pattern(50_000)
        assert fetch(store, await push(store, BODY)) == BODY


async def test_a_fill_that_fills_the_disk_fails_for_its_followers_too(small_disk: Path) -> None:
    with stores(small_disk) as another:
        store = await another()
        before = used(small_disk)
        fills = FileFills(store)
        lead = await fills.lead(KEY)
        tail = await FileFills(await another()).follow(KEY)
        assert lead is not None
        assert tail is not None
        with pytest.raises(StoreFailed):
            await fill_up(lead)
        assert await tail.end() == "failed"
        tail.close()
        await lead.close()
        assert used(small_disk) == before


async def test_a_store_without_descriptors_refuses_and_recovers(root: Path) -> None:
    store = await start(root)
    with pytest.raises(StoreFailed, match="Too many open files"):
        await _begin_without_descriptors(store)
    assert store.health is None
    assert fetch(store, await push(store, BODY)) == BODY
    store.close()


async def _begin_without_descriptors(store: FileBlobs) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        await store.begin(upload_id(1), "sha256")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
