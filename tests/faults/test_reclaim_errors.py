"""Reclaim when the disk or the database will not: nothing is lost, and the next step goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pierhead.adapters.files.store import FileBlobs
from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import BlobState
from pierhead.jobs.loop import Failed, Idle, Worked
from pierhead.jobs.reclaim import Reclaim, preview
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.faults import FaultPoint, NoFaults
from tests.contracts.rows import SECOND, HandClock
from tests.races.registry import Registry, registry

LEASE = 100 * SECOND
QUARANTINE = 10 * SECOND
LARGE = b"large " * 10_000
SMALL = b"small"


class FailingAt:
    def __init__(self, point: FaultPoint) -> None:
        self._point = point

    def hit(self, point: FaultPoint) -> None:
        if point is self._point:
            raise OSError(5, "Input/output error")


class StubbornFiles(FileBlobs):
    """Refuses to delete until it is told otherwise."""

    stubborn = True

    async def delete(self, places: Sequence[tuple[Digest, str]]) -> None:
        if self.stubborn:
            raise StoreFailed("stored blobs cannot be taken away: Operation not permitted")
        await super().delete(places)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def on(tmp_path: Path, clock: HandClock) -> AsyncIterator[Registry]:
    async with registry(tmp_path, clock, lease=LEASE, quarantine=QUARANTINE) as opened:
        yield opened


async def condemned(on: Registry, clock: HandClock) -> None:
    """One large and one small blob whose quarantine is over."""
    for body in (LARGE, SMALL):
        await on.push_blob("app", body)
    clock.advance(LEASE + SECOND)
    assert await on.reclaim()() == Worked("0 blobs deleted (0 bytes), 2 condemned, 0 kept")
    clock.advance(QUARANTINE + SECOND)


async def test_space_comes_back_after_the_lease_and_the_quarantine_and_not_before(
    on: Registry, clock: HandClock
) -> None:
    reclaim = on.reclaim()
    await on.push_blob("app", LARGE)
    assert await reclaim() == Idle()
    clock.advance(LEASE - SECOND)
    assert await reclaim() == Idle()
    clock.advance(2 * SECOND)
    await reclaim()
    assert await reclaim() == Idle()
    assert await on.read_blob("app", Digest.of(LARGE)) == LARGE
    clock.advance(QUARANTINE - SECOND)
    assert await reclaim() == Idle()
    assert len(await on.files()) == 1
    clock.advance(2 * SECOND)
    assert await reclaim() == Worked(f"1 blobs deleted ({len(LARGE)} bytes), 0 condemned, 0 kept")
    assert await on.files() == set()
    assert await reclaim() == Idle()


@pytest.mark.parametrize(
    "point", [FaultPoint.RECLAIM_CONDEMNED, FaultPoint.RECLAIM_DELETING, FaultPoint.RECLAIM_UNLINKED]
)
async def test_a_step_that_fails_at_any_point_is_finished_by_the_next(
    on: Registry, clock: HandClock, point: FaultPoint
) -> None:
    for body in (LARGE, SMALL):
        await on.push_blob("app", body)
    failing = on.reclaim(faults=FailingAt(point))
    outcomes = []
    for pause in (LEASE, QUARANTINE):
        clock.advance(pause + SECOND)
        outcomes.append(await failing())
    assert [type(outcome) for outcome in outcomes].count(Failed) == 1
    await on.drain(on.reclaim())
    assert await on.files() == set()
    assert (await on.store.report(lambda reports: reports.totals())).condemned == 0
    await on.push_blob("app", LARGE)
    assert await on.read_blob("app", Digest.of(LARGE)) == LARGE


async def test_files_that_cannot_be_deleted_keep_their_rows_and_go_later(tmp_path: Path, clock: HandClock) -> None:
    async with registry(tmp_path, clock, lease=LEASE, quarantine=QUARANTINE, files=StubbornFiles) as on:
        await condemned(on, clock)
        reclaim = on.reclaim()
        failed = await reclaim()
        assert isinstance(failed, Failed)
        assert "not permitted" in failed.why
        row = await on.store.lookups.known(Digest.of(LARGE))
        assert row is not None
        assert row.state is BlobState.DELETING
        assert isinstance(await reclaim(), Failed)
        assert isinstance(on.blobs, StubbornFiles)
        on.blobs.stubborn = False
        assert isinstance(await reclaim(), Worked)
        assert await on.files() == set()


async def test_a_push_while_the_old_bytes_cannot_be_deleted_gets_a_generation_of_its_own(
    tmp_path: Path, clock: HandClock
) -> None:
    async with registry(tmp_path, clock, lease=LEASE, quarantine=QUARANTINE, files=StubbornFiles) as on:
        await condemned(on, clock)
        assert isinstance(await on.reclaim()(), Failed)
        (old,) = await on.files()
        await on.push_blob("app", LARGE)
        new = await on.files() - {old}
        assert len(new) == 1
        assert isinstance(on.blobs, StubbornFiles)
        on.blobs.stubborn = False
        await on.drain(on.reclaim())
        assert await on.files() >= new
        assert await on.read_blob("app", Digest.of(LARGE)) == LARGE


async def test_a_full_database_stops_a_step_and_not_the_next(on: Registry, clock: HandClock) -> None:
    await condemned(on, clock)
    connection = on.store._writer._connection
    before = connection.execute("PRAGMA max_page_count").get
    connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').get}")
    outcome = await on.reclaim()()
    connection.execute(f"PRAGMA max_page_count={before}")
    assert isinstance(outcome, Failed | Worked)
    await on.drain(on.reclaim())
    assert await on.files() == set()


async def test_only_one_process_reclaims_until_its_term_is_over(on: Registry, clock: HandClock) -> None:
    await condemned(on, clock)

    def holder(name: str) -> Reclaim:
        return Reclaim(on.store, on.blobs, NoFaults(), name, QUARANTINE, term=60 * SECOND)

    first, second = holder("first"), holder("second")
    assert isinstance(await first(), Worked)
    await on.push_blob("app", LARGE)
    clock.advance(LEASE + SECOND)
    assert isinstance(await second(), Worked)
    clock.advance(QUARANTINE + SECOND)
    assert await first() == Idle()
    assert isinstance(await second(), Worked)
    assert await on.files() == set()


async def test_many_due_blobs_go_in_bounded_steps_that_say_there_is_more(on: Registry, clock: HandClock) -> None:
    for number in range(25):
        await on.push_blob("app", b"%d" % number)
    clock.advance(LEASE + SECOND)
    reclaim = on.reclaim(batch=10)
    assert [outcome.more for outcome in [await reclaim() for _ in range(3)] if isinstance(outcome, Worked)] == [
        *(True, True, False)
    ]
    clock.advance(QUARANTINE + SECOND)
    await on.drain(reclaim)
    assert (await on.store.report(lambda reports: reports.totals())).condemned == 0


async def test_a_preview_changes_nothing_and_says_what_would_go(on: Registry, clock: HandClock) -> None:
    await on.push_image("app", "1.0", b"kept")
    await on.push_blob("app", LARGE)
    found = await preview(on.store, clock)
    assert (found.blobs, found.leased, found.leased_size) == (0, 1 + 2 - 2, len(LARGE))
    clock.advance(LEASE + SECOND)
    found = await preview(on.store, clock)
    assert (found.blobs, found.size, found.condemned, found.leased) == (1, len(LARGE), 0, 0)
    assert [one.digest for one in found.sample] == [Digest.of(LARGE)]
    assert len(await on.files()) == 1
