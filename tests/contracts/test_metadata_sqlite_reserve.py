"""Space set aside for a full disk: who gets it, who does not, and when it is back. A write that finds the disk full is
played, since a real one fills at no moment that a test could choose; `test_full_disk.py` fills one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.domain.refusals import Unavailable
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.audit import EventFilter
from pierhead.ports.metadata.store import Tx
from tests.contracts.rows import HandClock

SIZE = 1 << 20


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    path = tmp_path / "pierhead.db"
    opened = await SqliteStore.open(path, HandClock(), NoFaults(), shared=request.param, reserve=SIZE)
    assert not await opened.tend_reserve(), "it was never given up"
    yield opened
    await opened.close()


def full(times: int) -> Callable[[Tx], str]:
    """Finds no room so many times, and then some."""
    left = [times]

    def write(tx: Tx) -> str:
        if left[0]:
            left[0] -= 1
            raise apsw.FullError("database or disk is full")
        tx.notes.put("written", "yes")
        return "done"

    return write


async def states(store: SqliteStore) -> list[object]:
    found = await store.report(lambda reports: reports.events(EventFilter(kind="reserve"), None, 10))
    return [event.body["state"] for event in found]


async def test_it_is_of_real_blocks_and_its_owners_alone(store: SqliteStore, tmp_path: Path) -> None:
    found = (tmp_path / "pierhead.reserve").stat()
    assert (found.st_size, found.st_mode & 0o777, found.st_blocks * 512 >= SIZE) == (SIZE, 0o600, True)


async def test_what_is_not_vital_never_gets_it(store: SqliteStore) -> None:
    for brief in (False, True):
        with pytest.raises(Unavailable, match="The disk is full"):
            await store.write(full(1), brief=brief)
    assert (store.reserve.held, store.reserve.away) == (SIZE, False)


async def test_a_vital_write_gets_it_and_until_it_is_back_nothing_else_is_written(store: SqliteStore) -> None:
    assert await store.write(full(1), vital=True) == "done"
    assert (store.reserve.held, store.reserve.away) == (0, True)
    assert await store.lookups.note("written") == "yes"
    assert await states(store) == ["given up"]
    for brief in (False, True):
        with pytest.raises(Unavailable, match="The disk is full"):
            await store.write(full(0), brief=brief)
    assert await store.write(full(0), vital=True) == "done"
    with pytest.raises(Unavailable, match="The disk is full"):
        await store.write(full(1), vital=True)  # there is nothing more to give
    assert await store.tend_reserve()
    assert (store.reserve.held, store.reserve.away) == (SIZE, False)
    assert await store.write(full(0)) == "done"


async def test_another_start_knows_that_it_was_given_up(store: SqliteStore, tmp_path: Path) -> None:
    await store.write(full(1), vital=True)
    await store.close()
    again = await SqliteStore.open(tmp_path / "pierhead.db", HandClock(), NoFaults(), reserve=SIZE)
    assert again.reserve.away
    await again.close()
