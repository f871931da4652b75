"""The store as a whole: one writer, one connection for look-ups on the loop, a few for reports."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from pierhead.adapters.sqlite.connect import connect, migrate
from pierhead.adapters.sqlite.lookups import SqliteLookups
from pierhead.adapters.sqlite.reports import SqliteReports
from pierhead.adapters.sqlite.reserve import Reserve
from pierhead.adapters.sqlite.writer import Writer, tell_given_up
from pierhead.ports.clock import Clock
from pierhead.ports.faults import Faults
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Tx

T = TypeVar("T")

_REPORT_SECONDS: Final = 5.0
_LOOKUP_CACHE_KIB: Final = 65_536
"""Filled only as far as look-ups reach."""
_PROGRESS_STEPS: Final = 20_000


class SqliteStore:
    """Implements ``ports.metadata.store.Store``."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._reading = connect(path, writable=False, cache_kib=_LOOKUP_CACHE_KIB)
        self.lookups = SqliteLookups(self._reading, None if writer.shared else lambda: writer.commits)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="report")
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._closing = False

    @classmethod
    async def open(
        cls, path: Path, clock: Clock, faults: Faults, *, shared: bool = False, reserve: int = 0
    ) -> SqliteStore:
        """Makes or upgrades the database file; ``shared`` if other processes write to it too; ``reserve`` in bytes.

        Raises DatabaseRefused for a file of a newer version or of another program.
        """
        aside = Reserve(path.with_suffix(".reserve"), reserve)
        given_up = aside.make_way()
        await asyncio.to_thread(_prepare, path)
        writer = Writer(path, clock, faults, aside, shared=shared)
        if given_up:
            await writer.submit(lambda tx: tell_given_up(tx, aside), True, False, True)
        return cls(path, writer)

    def write(
        self, fn: Callable[[Tx], T], *, durable: bool = True, brief: bool = False, vital: bool = False
    ) -> Awaitable[T]:
        """See the port."""
        return self._writer.submit(fn, durable, brief, vital)

    async def tend_reserve(self) -> bool:
        """See the port."""
        return await asyncio.to_thread(self._writer.reserve.tend)

    @property
    def reserve(self) -> Reserve:
        """To be looked at."""
        return self._writer.reserve

    async def report(self, fn: Callable[[Reports], T]) -> T:
        """Runs ``fn`` in a worker thread over one snapshot; raises TimeoutError after five seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._report, fn)

    async def check(self) -> Sequence[str]:
        """``PRAGMA quick_check`` table by table, so that no snapshot is held for long and the log can be taken in."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._check)
        if found and not self._closing:
            self._writer.failed = "The database is damaged. Writes stop; restore the last backup."
        return found

    @property
    def commits(self) -> tuple[int, int]:
        """Since the start, by this process: commits, and writes in them."""
        return self._writer.counted

    def health(self) -> str | None:
        """Why writes are refused."""
        return self._writer.failed

    async def close(self) -> None:
        """Finishes what was queued and closes every connection."""
        self._closing = True
        await self._writer.close()
        self._threads.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._reading.close()

    def _connection(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, writable=False, cache_kib=4_096)
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    def _check(self) -> Sequence[str]:
        connection = self._connection()
        connection.set_progress_handler(lambda: self._closing, _PROGRESS_STEPS)
        found: list[str] = []
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
            for table in tables:
                rows = connection.execute(f"PRAGMA quick_check('{table}')").fetchall()
                found += [str(text) for (text,) in rows if text != "ok"]
        except apsw.InterruptError:
            return []
        except (apsw.CorruptError, apsw.NotADBError) as error:
            found.append(str(error))
        finally:
            connection.set_progress_handler(None)
        return found

    def _report(self, fn: Callable[[Reports], T]) -> T:
        connection = self._connection()
        deadline = time.monotonic() + _REPORT_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        connection.execute("BEGIN")
        try:
            return fn(SqliteReports(connection))
        except apsw.InterruptError as error:
            raise TimeoutError("the report took longer than five seconds") from error
        finally:
            connection.set_progress_handler(None)
            connection.execute("ROLLBACK")


def _prepare(path: Path) -> None:
    connection = connect(path, writable=True)
    try:
        migrate(connection)
    finally:
        connection.close()
