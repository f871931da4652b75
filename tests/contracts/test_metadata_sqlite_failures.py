"""The embedded metadata store when the world fails it: other files, full disks, failing commits, other processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from pierhead.adapters.sqlite.connect import SCHEMA_VERSION, DatabaseRefused, connect
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import Unavailable
from pierhead.ports.faults import FaultPoint, NoFaults
from pierhead.ports.metadata.store import Tx
from tests.contracts.metadata import pointed_at
from tests.contracts.rows import HandClock, later, manifest, shelf
from tests.contracts.test_metadata_sqlite import WAYS, verify_chain
from tests.house.tree import ROOT

NAME = "pierhead.db"


class FailingAt:
    """Raises at one fault point, as often as it was told to."""

    def __init__(self) -> None:
        self.point: FaultPoint | None = None
        self.error: Exception = OSError(5, "Input/output error")

    def hit(self, point: FaultPoint) -> None:
        if point is self.point:
            raise self.error


@asynccontextmanager
async def opened(
    folder: Path,
    faults: FailingAt | None = None,
    *,
    way: type[SqliteStore] = SqliteStore,
    shared: bool = False,
    clock: HandClock | None = None,
) -> AsyncIterator[SqliteStore]:
    store = await way.open(folder / NAME, clock or HandClock(), faults or NoFaults(), shared=shared)
    try:
        yield store
    finally:
        await store.close()


async def test_a_database_is_opened_again_with_all_that_it_holds(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock=clock) as store:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.push_image(tx, "kept", "1.0"))
        before = await store.write(lambda tx: tx.now)
    clock.advance(-10_000_000)
    async with opened(tmp_path, clock=clock) as store:
        assert await pointed_at(store, await shelf(store), "1.0") == digest
        await store.write(lambda tx: dev.push_image(tx, "more", "1.0"))
        since = await store.report(lambda reports: reports.tags(dev.repository.name, dev.image, "", 1)[0].since)
        assert since > before - 1_000
    assert verify_chain(tmp_path / NAME) == 2


async def test_a_database_of_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    newer = apsw.Connection(str(tmp_path / NAME))
    newer.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(DatabaseRefused, match=r"newer Pierhead.*Start that version, or restore a backup"):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION])
async def test_the_database_of_another_program_is_refused_and_left_as_it_was(tmp_path: Path, version: int) -> None:
    other = apsw.Connection(str(tmp_path / NAME))
    other.execute(f"CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1); PRAGMA user_version={version}")
    other.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(DatabaseRefused, match="another program"):
        async with opened(tmp_path):
            pass
    assert (tmp_path / NAME).read_bytes() == before
    assert os.listdir(tmp_path) == [NAME]


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"a letter to somebody else\n" * 400)
    with pytest.raises(DatabaseRefused, match="no database"):
        async with opened(tmp_path):
            pass
    assert (tmp_path / NAME).read_bytes() == b"a letter to somebody else\n" * 400


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", [FaultPoint.GROUP_BEGUN, FaultPoint.GROUP_DONE])
async def test_a_commit_that_fails_answers_all_of_its_group_unavailable_and_stops_the_writes(
    tmp_path: Path, way: type[SqliteStore], point: FaultPoint
) -> None:
    faults = FailingAt()
    async with opened(tmp_path, faults, way=way) as store:
        dev = await shelf(store)
        kept = await store.write(lambda tx: dev.push_image(tx, "kept", "kept"))
        faults.point = point
        pushes = [store.write(later(dev.push_image, str(number), f"t{number}")) for number in range(10)]
        answers = await asyncio.gather(*pushes, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        faults.point = None
        with pytest.raises(Unavailable):
            await store.write(lambda tx: tx.now)
        reason = store.health()
        assert reason is not None
        assert "restart" in reason
        assert await pointed_at(store, dev, "kept") == kept
        assert await pointed_at(store, dev, "t0") is None
    async with opened(tmp_path) as store:
        assert store.health() is None
        await store.write(lambda tx: dev.push_image(tx, "0", "t0"))
        assert await pointed_at(store, dev, "kept") == kept
    assert verify_chain(tmp_path / NAME) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_of_ours_in_the_writer_answers_everybody_and_stops_the_writes(
    tmp_path: Path, way: type[SqliteStore]
) -> None:
    faults = FailingAt()
    faults.error = AssertionError("nobody thought of this")
    async with opened(tmp_path, faults, way=way) as store:
        dev = await shelf(store)
        faults.point = FaultPoint.GROUP_DONE
        pushes = [store.write(later(dev.push_image, str(number), f"t{number}")) for number in range(3)]
        answers = await asyncio.wait_for(asyncio.gather(*pushes, return_exceptions=True), 20)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert store.health() is not None


@pytest.mark.parametrize("way", WAYS)
async def test_a_commit_that_took_place_but_could_not_be_reported_is_found_when_it_is_tried_again(
    tmp_path: Path,
    way: type[SqliteStore],
) -> None:
    faults = FailingAt()
    async with opened(tmp_path, faults, way=way) as store:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        faults.point = FaultPoint.GROUP_COMMITTED
        with pytest.raises(Unavailable):
            await store.write(lambda tx: once.push_image(tx, "unsure", "1.0"))
    async with opened(tmp_path) as store:
        again = await store.write(lambda tx: once.push(tx, manifest(b'{"text": "unsure"}'), "1.0"))
        assert not again.changed


@pytest.mark.parametrize("way", WAYS)
async def test_a_full_disk_refuses_writes_keeps_reads_and_is_over_when_there_is_space(
    tmp_path: Path, way: type[SqliteStore]
) -> None:
    async with opened(tmp_path, way=way) as store:
        dev = await shelf(store)
        kept = await store.write(lambda tx: dev.push_image(tx, "kept", "1.0"))
        connection = store._writer._connection
        pages = connection.execute("PRAGMA page_count").get
        connection.execute(f"PRAGMA max_page_count={pages}")

        def fill(tx: Tx) -> None:
            for number in range(50):
                dev.land(tx, bytes(8_000) + b"%d" % number)

        with pytest.raises(Unavailable, match="full"):
            await store.write(fill)
        assert store.health() is None
        assert await pointed_at(store, dev, "1.0") == kept
        connection.execute("PRAGMA max_page_count=1073741823")
        await store.write(fill)
        second = await store.write(lambda tx: dev.push_image(tx, "second", "2.0"))
        assert await pointed_at(store, dev, "2.0") == second
    assert verify_chain(tmp_path / NAME) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_busy_database_is_unavailable_for_now_and_not_for_ever(tmp_path: Path, way: type[SqliteStore]) -> None:
    async with opened(tmp_path, way=way) as store:
        dev = await shelf(store)
        store._writer.patience_ms = 50
        other = connect(tmp_path / NAME, writable=True)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="busy"):
            await store.write(lambda tx: dev.push_image(tx, "x", "1.0"))
        other.execute("ROLLBACK")
        other.close()
        assert store.health() is None
        await store.write(lambda tx: dev.push_image(tx, "x", "1.0"))


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_was_closed_answers_writes_instead_of_keeping_them_waiting(
    tmp_path: Path, way: type[SqliteStore]
) -> None:
    async with opened(tmp_path, way=way) as store:
        pending = [store.write(lambda tx: tx.now) for _ in range(200)]
    assert len(await asyncio.gather(*pending)) == 200
    with pytest.raises(Unavailable):
        await asyncio.wait_for(store.write(lambda tx: tx.now), 5)


async def test_a_damaged_page_is_found_by_the_check_and_writes_stop(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        dev = await shelf(store)
        for number in range(30):
            await store.write(later(dev.push_image, "x" * 3000 + str(number), f"t{number}"))
        assert await store.check() == []
    size = (tmp_path / NAME).stat().st_size
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)
    async with opened(tmp_path) as store:
        assert await store.check()
        with pytest.raises(Unavailable, match="damaged"):
            await store.write(lambda tx: tx.now)


async def test_a_report_that_takes_too_long_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pierhead.adapters.sqlite.store._REPORT_SECONDS", 0.05)
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT count(*) FROM c"
    async with opened(tmp_path) as store:
        with pytest.raises(TimeoutError):
            await store.report(lambda reports: reports._execute(endless).fetchall())  # type: ignore[attr-defined]
        assert (await store.report(lambda reports: reports.totals())).tags == 0


# --- several processes ---------------------------------------------------------------------------------------------

_CLAIMER = """
import asyncio, sys
from pathlib import Path
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemClock
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.ports.faults import NoFaults
from tests.contracts.rows import shelf

async def main(path, me, rounds, claimers):
    store = await SqliteStore.open(Path(path), SystemClock(), NoFaults(), shared=True)
    once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    async def claim(tag, text):
        try:
            digest = await store.write(lambda tx: once.push_image(tx, text, tag))
            print("won", tag, digest, flush=True)
        except TagWrittenOnce:
            pass

    for number in range(rounds):
        await asyncio.gather(*(claim(f"1.{number}", f"{me}/{claimer}") for claimer in range(claimers)))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


def claimer(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CLAIMER, str(folder / NAME), *arguments],
        env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_of_four_processes_that_claim_the_same_tags_one_wins_each_and_the_record_is_one_chain(
    tmp_path: Path,
) -> None:
    """They open the new database at the same time too, so that one of them makes the schema and the others wait."""
    rounds, claimers = 10, 16
    claiming = [claimer(tmp_path, str(number), str(rounds), str(claimers)) for number in range(4)]

    async def of_all(call: Callable[[subprocess.Popen[str]], str]) -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(call, process) for process in claiming))

    try:
        assert await of_all(lambda process: process.stdout.readline() if process.stdout else "") == ["ready\n"] * 4
        output = await of_all(lambda process: process.communicate("go\n", timeout=60)[0])
    finally:
        for process in claiming:
            process.kill()
            process.wait()
    won = [line.split()[1:] for text in output for line in text.splitlines()]
    assert sorted(tag for tag, _ in won) == sorted(f"1.{number}" for number in range(rounds))
    assert verify_chain(tmp_path / NAME) == rounds
    async with opened(tmp_path) as store:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        for tag, digest in won:
            assert await pointed_at(store, once, tag) == digest


async def test_two_stores_on_one_file_write_one_chain_and_see_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path, shared=True) as one, opened(tmp_path, shared=True) as two:
        dev = await shelf(one)
        writes: list[Awaitable[object]] = []
        for number in range(100):
            writes.append(one.write(later(dev.push_image, f"one {number}", f"a{number}")))
            writes.append(two.write(later(dev.push_image, f"two {number}", f"b{number}")))
        await asyncio.gather(*writes)
        for store in (one, two):
            found = await store.lookups.tags((dev.repository.id,), dev.image, "", 1000)
            assert found is not None
            assert len(found) == 200
    assert verify_chain(tmp_path / NAME) == 200
