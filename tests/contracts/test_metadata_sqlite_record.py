"""The record in SQLite: the contract, its plans, and that whatever is done to a copy of it is found."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from time import process_time
from typing import Any

import apsw
import pytest

from pierhead.adapters.sqlite import chain, record
from pierhead.adapters.sqlite.connect import DatabaseRefused, connect, migrate
from pierhead.adapters.sqlite.rows import Transaction, chain_hash
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits import audit
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.audit import EventFilter, RecordHead
from tests.contracts.metadata_record import RecordContract
from tests.contracts.rows import SECOND, HandClock, shelf
from tests.contracts.test_metadata_sqlite import Sqlite
from tests.contracts.test_metadata_sqlite_plans import plan_of

ROWS = 40
EVENTS = "events(seq, at, kind, account, image_id, body, hash)"


class TestRecordOnSqlite(Sqlite, RecordContract):
    """See the contract."""


def quiet(done: int, total: int) -> None:
    assert done <= total


def verdict(path: Path, *heads: RecordHead) -> chain.Verdict:
    return chain.verify(path, heads, quiet)


def found(path: Path, *heads: RecordHead) -> list[tuple[int, str]]:
    return [(one.seq, one.what) for one in verdict(path, *heads).problems]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with forty events, closed."""
    path = tmp_path_factory.mktemp("record") / "pierhead.db"
    fill(path, ROWS)
    return path


def fill(path: Path, rows: int) -> None:
    clock = HandClock()
    connection = connect(path, writable=True)
    migrate(connection)
    tx = Transaction(connection, clock)
    connection.execute("BEGIN")
    tx.begin()
    for number in range(rows):
        tx.mark()
        what = {"repository": "dev", "image": f"app/{number % 10}", "digest": f"sha256:{number:064x}"}
        audit.record(tx, ("push", "pull")[number % 2], f"account-{number % 7}", what, {"address": "192.0.2.1"})
    connection.execute("COMMIT")
    connection.close()


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    path = tmp_path / "pierhead.db"
    for one in original.parent.glob("pierhead.db*"):
        shutil.copy(one, tmp_path / one.name)
    return path


@pytest.fixture
def change(copy: Path) -> Callable[..., None]:
    """Runs a statement on the copy, as somebody does who has got hold of the file."""

    def run(statement: str, *values: object) -> None:
        connection = apsw.Connection(str(copy))
        connection.execute(statement, values)
        connection.close()

    return run


def head_at(path: Path, seq: int) -> RecordHead:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    raw = connection.execute("SELECT hash FROM events WHERE seq=?", (seq,)).get
    connection.close()
    assert isinstance(raw, bytes)
    return RecordHead(seq, raw)


def test_a_record_that_nobody_touched_is_whole_and_its_heads_stand_in_it(copy: Path) -> None:
    heads = [head_at(copy, seq) for seq in (1, 17, ROWS)]
    whole = verdict(copy, *heads)
    assert (whole.rows, whole.first, whole.wrong) == (ROWS, 1, 0)
    assert whole.head == heads[-1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", '{"repository":"prod"}'),
        ("kind", "pull "),
        ("account", "somebody else"),
        ("image_id", 7),
        ("at", 1_700_000_000 * SECOND + 17 * 1_000),
        ("hash", bytes(32)),
    ],
)
def test_a_row_that_was_altered_is_found_whichever_column_it_was(
    copy: Path, change: Callable[..., None], column: str, value: object
) -> None:
    change(f"UPDATE events SET {column}=? WHERE seq=17", value)
    assert (17, "altered") in found(copy)
    assert {seq for seq, _ in found(copy)} <= {17, 18}


@pytest.mark.parametrize(("gone", "noticed"), [("seq=17", 18), ("seq=1", 2), ("seq BETWEEN 10 AND 20", 21)])
def test_what_was_taken_out_is_named(copy: Path, change: Callable[..., None], gone: str, noticed: int) -> None:
    change(f"DELETE FROM events WHERE {gone}")
    (problem,) = verdict(copy).problems
    assert (problem.seq, problem.what) == (noticed, "missing")


def test_a_row_that_was_taken_out_and_closed_up_behind_is_found(copy: Path, change: Callable[..., None]) -> None:
    change("DELETE FROM events WHERE seq=17")
    for seq in range(18, ROWS + 1):
        change("UPDATE events SET seq=? WHERE seq=?", seq - 1, seq)
    assert found(copy)[0] == (17, "altered")


def test_two_rows_that_were_swapped_are_found(copy: Path, change: Callable[..., None]) -> None:
    change("UPDATE events SET seq=1000 WHERE seq=17")
    change("UPDATE events SET seq=17 WHERE seq=18")
    change("UPDATE events SET seq=18 WHERE seq=1000")
    what = found(copy)
    assert (17, "altered") in what
    assert (18, "clock") in what


@pytest.mark.parametrize("seq", [-5, 0])
def test_a_row_that_was_put_in_before_the_first_is_found(copy: Path, change: Callable[..., None], seq: int) -> None:
    change(f"INSERT INTO {EVENTS} VALUES (?, 1, 'push', 'x', NULL, '{{}}', ?)", seq, bytes(32))
    assert found(copy) == [(seq, "altered")]


def test_a_row_that_was_put_behind_the_last_is_found(copy: Path, change: Callable[..., None]) -> None:
    change(f"INSERT INTO {EVENTS} VALUES (?, ?, 'push', 'x', NULL, '{{}}', ?)", ROWS + 1, 2**60, bytes(32))
    assert found(copy) == [(ROWS + 1, "altered")]


def test_a_clock_that_went_back_is_found_though_every_hash_follows(copy: Path, change: Callable[..., None]) -> None:
    head = head_at(copy, ROWS)
    at = 1_600_000_000 * SECOND
    last = chain_hash(head.hash, ROWS + 1, at, "push", "x", None, b"{}")
    change(f"INSERT INTO {EVENTS} VALUES (?, ?, 'push', 'x', NULL, '{{}}', ?)", ROWS + 1, at, last)
    assert found(copy) == [(ROWS + 1, "clock")]


def test_a_tail_that_was_cut_off_is_found_against_a_head(copy: Path, change: Callable[..., None]) -> None:
    head = head_at(copy, ROWS)
    change("DELETE FROM events WHERE seq>30")
    assert verdict(copy).wrong == 0, "the chain alone cannot know what came behind it"
    assert found(copy, head) == [(ROWS, "cut off")]


def hash_anew(path: Path, last: int) -> None:
    """Makes every hash behind ``last`` follow from the one before, as somebody would who knows how."""
    before = head_at(path, last).hash
    connection = apsw.Connection(str(path))
    rows: list[Any] = connection.execute(
        "SELECT seq, at, kind, account, image_id, body FROM events WHERE seq>? ORDER BY seq", (last,)
    ).fetchall()
    for seq, at, kind, account, image, body in rows:
        before = chain_hash(before, seq, at, kind, account, image, body.encode())
        connection.execute("UPDATE events SET hash=? WHERE seq=?", (before, seq))
    connection.close()


def test_a_gap_is_found_though_every_hash_follows(copy: Path, change: Callable[..., None]) -> None:
    change("DELETE FROM events WHERE seq=17")
    hash_anew(copy, 16)
    assert found(copy) == [(18, "missing")]


def test_a_record_that_was_made_anew_from_some_row_on_is_found_against_a_head(
    copy: Path, change: Callable[..., None]
) -> None:
    head = head_at(copy, 30)
    change("UPDATE events SET account='somebody else' WHERE seq=17")
    hash_anew(copy, 16)
    assert verdict(copy).wrong == 0
    assert found(copy, head) == [(30, "head")]


async def test_a_tail_that_wrote_a_tag_is_missed_by_that_tag(tmp_path: Path) -> None:
    path = tmp_path / "pierhead.db"
    store = await SqliteStore.open(path, HandClock(), NoFaults())
    dev = await shelf(store)
    for number in range(3):
        text = str(number)
        await store.write(lambda tx, text=text: dev.push_image(tx, text, text))  # type: ignore[misc]
    assert not found(path)
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM events WHERE seq=3")
    connection.close()
    assert found(path) == [(3, "cut off")]


async def test_a_record_is_checked_while_it_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pierhead.db"
    store = await SqliteStore.open(path, HandClock(), NoFaults())
    dev = await shelf(store)
    for number in range(20):
        text = str(number)
        await store.write(lambda tx, text=text: dev.push_image(tx, text, "latest"))  # type: ignore[misc]
        now = verdict(path)
        assert (now.wrong, now.rows) == (0, number + 1)
    await store.close()


def test_more_problems_than_are_shown_are_counted(copy: Path, change: Callable[..., None], tmp_path: Path) -> None:
    fill(tmp_path / "larger.db", 300)
    connection = apsw.Connection(str(tmp_path / "larger.db"))
    connection.execute("UPDATE events SET account='x'")
    connection.close()
    told = verdict(tmp_path / "larger.db")
    assert (told.wrong, len(told.problems)) == (300, 100)


def test_a_folder_that_takes_no_writes_can_be_checked_too(copy: Path) -> None:
    connection = chain.open_to_read(copy)
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM events")
    connection.close()


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000])
def test_a_file_without_a_record_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pierhead.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseRefused):
        verdict(path)


def test_a_million_rows_would_be_checked_in_seconds(tmp_path: Path) -> None:
    rows = 20_000
    fill(tmp_path / "large.db", rows)
    begun = process_time()
    assert verdict(tmp_path / "large.db").rows == rows
    assert (process_time() - begun) / rows < 20e-6


def test_a_record_of_the_first_schema_is_searched_after_the_upgrade(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "old.db"))
    connection.execute((files("pierhead.adapters.sqlite") / "schema/0001.sql").read_text())
    connection.execute("PRAGMA user_version=1; PRAGMA application_id=0x50494552")
    body = '{"repository":"dev","image":"a/b"}'
    last = chain_hash(bytes(32), 1, 5, "push", "ann", None, body.encode())
    connection.execute(f"INSERT INTO {EVENTS} VALUES (1, 5, 'push', 'ann', NULL, ?, ?)", (body, last))
    connection.close()
    opened = connect(tmp_path / "old.db", writable=True)
    migrate(opened)
    for wanted in (EventFilter(repository="dev"), EventFilter(image="a/b"), EventFilter("ann", kind="push")):
        assert [row.seq for row in record.newest(opened.execute, wanted, None, 10)] == [1]
    opened.close()
    assert verdict(tmp_path / "old.db").wrong == 0


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = connect(tmp_path / "empty.db", writable=True)
    migrate(connection)
    yield connection
    connection.close()


LEADING = {
    "image": "events_by_image_name (<expr>=?",
    "account": "events_by_account (account=?",
    "repository": "events_by_repository (<expr>=?",
    "kind": "events_by_kind (kind=?",
}


@pytest.mark.parametrize("newest_first", [True, False])
def test_every_search_goes_by_one_index_and_sorts_nothing(empty: apsw.Connection, newest_first: bool) -> None:
    for count in range(len(LEADING) + 1):
        for names in itertools.combinations(LEADING, count):
            given = {name: "x" if name in names else None for name in LEADING}
            wanted = EventFilter(given["account"], given["repository"], given["image"], given["kind"])
            statement, _ = record.search(wanted, newest_first=newest_first)
            (step,) = plan_of(empty, statement)
            index = LEADING[names[0]] if names else "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
            assert step.startswith("SEARCH"), step
            assert index in step, step
            assert "rowid" in step, "the numbers bound the search too"
