"""Events that no transaction tells of: queued, bounded, written together, and counted where they are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.audit import record
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.keep_record import Recorder, TellHead
from pierhead.jobs.loop import Idle, Worked
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.audit import EventFilter, EventRow
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store, Tx
from tests.contracts.rows import SECOND, HandClock

T = TypeVar("T")


class Shut:
    """A store that takes no writes while it is shut, as with a full disk."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shut = False
        self.writes = 0

    def write(self, fn: Callable[[Tx], T], *, durable: bool = True, brief: bool = False) -> Awaitable[T]:
        assert not durable, "nobody waits for these, so no sync does"
        self.writes += 1
        if self.shut:
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            future.set_exception(Unavailable("The disk is full."))
            return future
        return self.store.write(fn, durable=durable)

    def report(self, fn: Callable[[Reports], T]) -> Awaitable[T]:
        return self.store.report(fn)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(clock: HandClock, tmp_path: Path) -> AsyncIterator[Shut]:
    opened = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults())
    yield Shut(opened)
    await opened.close()


@pytest.fixture
def recorder(store: Shut, clock: HandClock) -> Recorder:
    return Recorder(cast(Store, store), clock)


async def rows(store: Shut) -> list[EventRow]:
    """Oldest first."""
    found, _ = await store.report(lambda reports: reports.events_after(EventFilter(), 0, 100_000))
    return list(found)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in a thread, which sets no event
            await asyncio.sleep(0.01)


async def written(store: Shut, count: int) -> list[EventRow]:
    async def there() -> bool:
        return len(await rows(store)) >= count

    await until(there)
    return await rows(store)


async def test_events_are_written_in_order_and_many_in_one_write(recorder: Recorder, store: Shut) -> None:
    for number in range(500):
        recorder.put("pull", "ann", {"n": number})
    found = await written(store, 500)
    assert [row.body["n"] for row in found] == list(range(500))
    assert store.writes == -(-500 // limits.AUDIT_BATCH_ROWS)
    assert recorder.lost == 0
    await recorder.close()


async def test_what_is_queued_at_the_end_is_written_and_later_events_are_counted(
    recorder: Recorder, store: Shut
) -> None:
    recorder.put("pull", "ann", {})
    recorder.put_repeated("key", "refused", "bo", {})
    recorder.put_repeated("key", "refused", "bo", {})
    await recorder.close()
    assert [(row.kind, row.body.get("times")) for row in await rows(store)] == [
        ("pull", None),
        ("refused", None),
        ("refused", 1),
    ]
    recorder.put("pull", "ann", {})
    assert recorder.lost == 1


async def test_a_full_queue_drops_and_counts_and_the_record_says_how_many(recorder: Recorder, store: Shut) -> None:
    for _ in range(limits.AUDIT_QUEUED_MAX + 12):
        recorder.put("pull", "ann", {})
    assert recorder.lost == 12
    await recorder.close()
    found = await rows(store)
    assert (found[0].kind, found[0].body) == ("lost", {"times": 12})
    assert [row.kind for row in found].count("lost") == 1
    assert len(found) == limits.AUDIT_QUEUED_MAX + 1


async def test_nothing_is_lost_while_the_database_takes_no_writes_for_a_while(
    recorder: Recorder, store: Shut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pierhead.jobs.keep_record._RETRY_SECONDS", 0.01)
    store.shut = True
    for number in range(3):
        recorder.put("pull", "ann", {"n": number})

    async def tried_twice() -> bool:
        return store.writes >= 2

    await until(tried_twice)
    assert await rows(store) == []
    store.shut = False
    assert [row.body["n"] for row in await written(store, 3)] == [0, 1, 2]
    await recorder.close()
    assert recorder.lost == 0


async def test_a_database_that_takes_no_writes_at_the_end_holds_up_nobody(recorder: Recorder, store: Shut) -> None:
    store.shut = True
    recorder.put("pull", "ann", {})
    async with asyncio.timeout(5):
        await recorder.close()
    assert recorder.lost == 1


async def test_an_event_that_cannot_be_written_takes_none_of_the_later_ones_along(
    recorder: Recorder, store: Shut
) -> None:
    recorder.put("pull", "ann", {"lone surrogate": "\udc80"})

    async def given_up() -> bool:
        return recorder.lost == 1

    await until(given_up)
    recorder.put("pull", "ann", {"n": 1})
    assert [row.body for row in await written(store, 1)] == [{"n": 1}]
    assert recorder.lost == 1
    await recorder.close()


async def test_the_first_of_many_is_told_at_once_and_the_others_of_the_minute_as_one(
    recorder: Recorder, store: Shut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_WINDOW_SECONDS", 0.3)
    for number in range(100):
        recorder.put_repeated(number % 2, "refused", "ann", {"which": number % 2})
    at_once = await written(store, 2)
    assert [(row.body["which"], "times" in row.body) for row in at_once] == [(0, False), (1, False)]
    assert [row.body.get("times") for row in await written(store, 4)] == [None, None, 49, 49]
    recorder.put_repeated(0, "refused", "ann", {"which": 0})
    assert len(await written(store, 5)) == 5, "another window, told at once again"
    await recorder.close()


async def test_what_an_attacker_can_vary_does_not_make_more_rows_than_the_bound(
    recorder: Recorder, store: Shut
) -> None:
    for number in range(3 * limits.AUDIT_REPEATS_MAX):
        recorder.put_repeated(number, "login failed", "ann", {"n": number})
        recorder.put_repeated("the same", "refused", "bo", {})
    await recorder.close()
    found = await rows(store)
    assert len(found) == limits.AUDIT_REPEATS_MAX + 2
    others = [row for row in found if row.body.get("others")]
    # One of the keys is that of the refusal, which was there early on.
    assert [(row.kind, row.account, row.body["times"]) for row in others] == [
        ("login failed", "", 2 * limits.AUDIT_REPEATS_MAX + 1)
    ]


async def test_the_head_is_told_in_the_beginning_after_a_minute_and_after_a_thousand_rows(
    store: Shut, clock: HandClock
) -> None:
    tell, other = (TellHead(cast(Store, store), clock, holder) for holder in ("a", "b"))

    async def grow(rows: int) -> None:
        await store.write(lambda tx: [record(tx, "pull", "ann", {}, {}) for _ in range(rows)], durable=False)

    assert isinstance(await tell(), Worked)
    assert isinstance(await other(), Idle), "of several processes one tells"
    assert isinstance(await tell(), Idle), "nothing has happened since"
    await grow(1)
    assert isinstance(await tell(), Idle), "the minute is not over"
    clock.advance(limits.AUDIT_HEAD_SECONDS * SECOND)
    told = await tell()
    assert isinstance(told, Worked)
    head = await store.report(lambda reports: reports.record_head())
    assert str(head) in told.what
    await grow(limits.AUDIT_HEAD_ROWS)
    assert isinstance(await tell(), Worked)
