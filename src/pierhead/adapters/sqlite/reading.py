"""A database that is only read, by a command beside the server or without one. Nothing is made or
brought up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import apsw

from pierhead.adapters.sqlite.connect import SCHEMA_VERSION, DatabaseRefused, connect
from pierhead.adapters.sqlite.reports import SqliteReports
from pierhead.ports.metadata.reports import Reports

T = TypeVar("T")


class SqliteReading:
    """``report`` of a store, and nothing else of it."""

    def __init__(self, path: Path) -> None:
        """Raises DatabaseRefused, also for a database of another version."""
        self._connection = connect(path, writable=False, cache_kib=4_096, flags=apsw.SQLITE_OPEN_READONLY)
        version = self._connection.execute("PRAGMA user_version").get
        if version != SCHEMA_VERSION:
            self._connection.close()
            older = version < SCHEMA_VERSION
            way_out = "Start its server once." if older else "Use the program that wrote it."
            raise DatabaseRefused(
                f"The data folder has schema {version}, this program reads {SCHEMA_VERSION}. {way_out}"
            )

    async def report(self, fn: Callable[[Reports], T]) -> T:
        """Runs ``fn`` over one snapshot."""
        await asyncio.sleep(0)
        self._connection.execute("BEGIN")
        try:
            return fn(SqliteReports(self._connection))
        finally:
            self._connection.execute("ROLLBACK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
