"""The embedded metadata store: the contract, and what only SQLite can get wrong."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import apsw
import pytest
from hypothesis import settings

from pierhead.adapters.sqlite.rows import chain_hash
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.store import Store, Tx
from tests.contracts.metadata import ManifestsContract, MetadataFixtures, TagsContract, WritesContract
from tests.contracts.metadata_accounts import AccountsContract
from tests.contracts.metadata_board import BoardContract
from tests.contracts.metadata_cache import CacheContract
from tests.contracts.metadata_expiry import ExpiryContract
from tests.contracts.metadata_lookups import LookupsContract, WayOutContract
from tests.contracts.metadata_machine import MetadataMachine
from tests.contracts.metadata_rules import TagRulesContract
from tests.contracts.metadata_running import RunningContract
from tests.contracts.metadata_sessions import SessionContract
from tests.contracts.metadata_undo import UndoContract
from tests.contracts.rows import HandClock
from tests.effort import examples

T = TypeVar("T")


class OnTheLoop(SqliteStore):
    """Everything counts as brief, and only commits are the thread's."""

    def write(
        self, fn: Callable[[Tx], T], *, durable: bool = True, brief: bool = True, vital: bool = False
    ) -> Awaitable[T]:
        return super().write(fn, durable=durable, brief=brief, vital=vital)


WAYS = [pytest.param(SqliteStore, id="thread"), pytest.param(OnTheLoop, id="loop")]


class Sqlite(MetadataFixtures):
    @pytest.fixture(params=WAYS)
    async def store(
        self, request: pytest.FixtureRequest, clock: HandClock, tmp_path: Path
    ) -> AsyncIterator[SqliteStore]:
        opened = await request.param.open(tmp_path / "pierhead.db", clock, NoFaults())
        yield opened
        await opened.close()

    @pytest.fixture
    def check_chain(self, tmp_path: Path) -> Callable[[], Awaitable[int]]:
        async def check() -> int:
            return verify_chain(tmp_path / "pierhead.db")

        return check


class TestTagsOnSqlite(Sqlite, TagsContract):
    """See the contract."""


class TestTagRulesOnSqlite(Sqlite, TagRulesContract):
    """See the contract."""


class TestManifestsOnSqlite(Sqlite, ManifestsContract):
    """See the contract."""


class TestWritesOnSqlite(Sqlite, WritesContract):
    """See the contract."""


class TestLookupsOnSqlite(Sqlite, LookupsContract):
    """See the contract."""


class TestCacheOnSqlite(Sqlite, CacheContract):
    """See the contract."""


class TestBoardOnSqlite(Sqlite, BoardContract):
    """See the contract."""


class TestRunningOnSqlite(Sqlite, RunningContract):
    """See the contract."""


class TestSessionsOnSqlite(Sqlite, SessionContract):
    """See the contract."""


class TestAccountsOnSqlite(Sqlite, AccountsContract):
    @pytest.fixture
    def read_events(self, tmp_path: Path) -> Callable[[], Awaitable[list[tuple[str, str, str]]]]:
        async def read() -> list[tuple[str, str, str]]:
            connection = apsw.Connection(str(tmp_path / "pierhead.db"), flags=apsw.SQLITE_OPEN_READONLY)
            found = connection.execute("SELECT kind, account, body FROM events ORDER BY seq").fetchall()
            connection.close()
            return [(str(kind), str(account), str(body)) for kind, account, body in found]

        return read


class TestExpiryOnSqlite(Sqlite, ExpiryContract):
    """See the contract."""


class TestUndoOnSqlite(Sqlite, UndoContract):
    """See the contract."""


class TestWayOutOnSqlite(Sqlite, WayOutContract):
    """See the contract."""


class SqliteMachine(MetadataMachine):
    async def open_store(self) -> Store:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.opened = await SqliteStore.open(self.folder / "pierhead.db", self.clock, NoFaults())
        return self.opened

    async def close_store(self) -> None:
        await self.opened.close()
        verify_chain(self.folder / "pierhead.db")
        shutil.rmtree(self.folder)


TestMachineOnSqlite = SqliteMachine.TestCase
TestMachineOnSqlite.settings = settings(max_examples=examples(40), stateful_step_count=60)


def verify_chain(path: Path) -> int:
    """Checks every event's hash, and that no number is missing; returns how many there are."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    before, last = bytes(32), 0
    for seq, at, kind, account, image, body, found in connection.execute(
        "SELECT seq, at, kind, account, image_id, body, hash FROM events ORDER BY seq"
    ):
        assert seq == last + 1
        before = chain_hash(before, seq, at, kind, account, image, body.encode())
        assert found == before
        last = seq
    connection.close()
    return last
