"""Old events go when the configuration says so: what stays is whole, and what else is taken out is found as ever."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from pierhead.adapters.sqlite import chain
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.audit import record
from pierhead.jobs.cut_record import CutRecord
from pierhead.jobs.loop import Idle, Worked
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.audit import EventFilter, RecordHead
from tests.contracts.rows import DAY, HandClock

KEEP = 30 * DAY
OLD, YOUNG = 25, 10


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqliteStore]:
    """Events on 25 days, then, when these are older than they may become, on 10."""
    opened = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults())
    for count, later in ((OLD, KEEP), (YOUNG, 0)):
        for number in range(count):
            clock.advance(DAY)
            await opened.write(lambda tx, number=number: record(tx, "push", "anna", {"digest": str(number)}, {}))  # type: ignore[misc]
        clock.advance(later)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def cutting(store: SqliteStore, *, most: int = 1_000) -> CutRecord:
    return CutRecord(store, "one", KEEP, rest=DAY, most=most)


def verdict(tmp_path: Path, *heads: RecordHead) -> chain.Verdict:
    return chain.verify(tmp_path / "pierhead.db", heads, lambda done, total: None)


def numbers(tmp_path: Path) -> list[int]:
    connection = apsw.Connection(str(tmp_path / "pierhead.db"), flags=apsw.SQLITE_OPEN_READONLY)
    found = [seq for (seq,) in connection.execute("SELECT seq FROM events ORDER BY seq")]
    connection.close()
    return found


def change(tmp_path: Path, statement: str) -> None:
    connection = apsw.Connection(str(tmp_path / "pierhead.db"))
    connection.execute(statement)
    connection.close()


def verify_command(data: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pierhead", "audit", "verify", "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


async def test_what_is_older_goes_in_one_cut_that_an_event_tells_of_and_the_rest_is_whole(
    store: SqliteStore, tmp_path: Path
) -> None:
    before = await store.report(lambda reports: reports.record_head())
    assert await cutting(store)() == Worked(f"{OLD} old events taken out of the record")
    assert numbers(tmp_path) == list(range(OLD + 1, OLD + YOUNG + 2))
    (event,) = await store.report(lambda reports: reports.events(EventFilter(kind="audit.cut"), None, 10))
    assert {name: event.body[name] for name in ("upto", "events", "from")} == {"upto": OLD, "events": OLD, "from": 1}
    found = verdict(tmp_path, before)
    assert (found.wrong, found.first, found.rows) == (0, OLD + 1, YOUNG + 1)
    assert found.cut is not None
    assert found.cut.seq == OLD
    assert await cutting(store)() == Idle(), "once a day at most"


async def test_what_is_young_enough_stays_though_there_is_a_setting(store: SqliteStore, tmp_path: Path) -> None:
    assert await CutRecord(store, "one", KEEP * 3, rest=DAY)() == Idle()
    assert verdict(tmp_path).cut is None


async def test_a_cut_that_was_stopped_in_its_midst_is_whole_and_goes_on(store: SqliteStore, tmp_path: Path) -> None:
    assert await cutting(store, most=10)() == Worked("10 old events taken out of the record", more=True)
    assert numbers(tmp_path)[0] == 11
    assert verdict(tmp_path).wrong == 0
    other = CutRecord(store, "one", KEEP, rest=DAY, most=10)  # a new start: where it stands is in the database
    assert await other() == Worked("10 old events taken out of the record", more=True)
    assert await other() == Worked("5 old events taken out of the record")
    assert verdict(tmp_path).wrong == 0
    assert numbers(tmp_path)[0] == OLD + 1
    assert len(await store.report(lambda reports: reports.events(EventFilter(kind="audit.cut"), None, 10))) == 1


async def test_a_second_cut_is_anchored_as_the_first_was(store: SqliteStore, clock: HandClock, tmp_path: Path) -> None:
    await cutting(store)()
    clock.advance(KEEP + 2 * DAY)
    await store.write(lambda tx: record(tx, "push", "anna", {}, {}))
    assert isinstance(await cutting(store)(), Worked)
    found = verdict(tmp_path)
    assert (found.wrong, found.first) == (0, OLD + YOUNG + 2)
    assert found.cut is not None
    assert found.cut.seq == OLD + YOUNG + 1, "the event of the first cut is among what the second took out"


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (f"DELETE FROM events WHERE seq={OLD + 1}", "missing"),
        (f"DELETE FROM events WHERE seq<={OLD + 3}", "missing"),
        (f"UPDATE events SET account='eve' WHERE seq={OLD + 1}", "altered"),
        ("DELETE FROM events WHERE kind='audit.cut'", "missing"),
        ("UPDATE events SET body=replace(body, 'upto', 'upto_') WHERE kind='audit.cut'", "missing"),
    ],
)
async def test_what_somebody_else_takes_out_or_alters_is_found(
    store: SqliteStore, tmp_path: Path, harm: str, what: str
) -> None:
    await cutting(store)()
    await store.write(lambda tx: record(tx, "push", "anna", {}, {}))
    change(tmp_path, harm)
    assert what in {one.what for one in verdict(tmp_path).problems}


async def test_without_a_cut_a_missing_beginning_is_found(store: SqliteStore, tmp_path: Path) -> None:
    change(tmp_path, "DELETE FROM events WHERE seq<=5")
    assert {one.what for one in verdict(tmp_path).problems} == {"missing"}


async def test_the_command_says_from_where_on_the_record_is_whole(store: SqliteStore, tmp_path: Path) -> None:
    await cutting(store)()
    told = await asyncio.to_thread(verify_command, tmp_path)
    assert f"Its first event is {OLD + 1}; those up to {OLD} were taken out" in told
    said = json.loads(await asyncio.to_thread(verify_command, tmp_path, "-o", "json"))
    assert (said["whole"], said["first"], said["removed_up_to"]) == (True, OLD + 1, OLD)
