"""What ``pierhead admin`` does about tokens, in a data folder that a server may be using."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pierhead.adapters.keys.jwt.keys import Keys
from pierhead.adapters.sqlite.connect import DatabaseRefused
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.records import record_keys
from pierhead.boot.reset import NoDataFolder
from pierhead.boot.tokens import KEYS_FOLDER
from pierhead.boot.wire import DATABASE_FILE
from pierhead.domain.refusals import Unavailable
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.values import RefreshRow

T = TypeVar("T")


def rotate_keys(data: Path, *, drop_old: bool) -> str:
    """Makes a key; with ``drop_old`` no token that was made until now holds any more. Returns what the key is called.

    Raises NoDataFolder.
    """
    return _in(data, lambda: Keys(data / KEYS_FOLDER, SystemClock(), SystemEntropy()).rotate(drop_old=drop_old).kid)


def rotate_record_key(data: Path) -> str:
    """Makes a key that signs records of promotions from now on. Returns its id. Raises NoDataFolder."""
    return _in(data, lambda: record_keys(data, SystemClock(), SystemEntropy()).rotate().id)


def refresh_tokens(data: Path, account: str) -> Sequence[RefreshRow]:
    """An account's, the newest first. Raises NoDataFolder."""

    async def read() -> Sequence[RefreshRow]:
        store = await SqliteStore.open(data / DATABASE_FILE, SystemClock(), NoFaults(), shared=True)
        try:
            return await store.report(lambda reports: reports.refreshes(account))
        finally:
            await store.close()

    return _in(data, lambda: asyncio.run(read()))


def revoke_refresh_tokens(data: Path, account: str, refresh: int | None) -> int:
    """Takes back one of an account's, or with None all; returns how many. Raises NoDataFolder."""

    async def write() -> int:
        store = await SqliteStore.open(data / DATABASE_FILE, SystemClock(), NoFaults(), shared=True)
        try:
            return await store.write(lambda tx: tx.refreshes.revoke(account, refresh))
        finally:
            await store.close()

    return _in(data, lambda: asyncio.run(write()))


def _in(data: Path, work: Callable[[], T]) -> T:
    if not (data / DATABASE_FILE).is_file():
        raise NoDataFolder(f"{data} is no data folder: it has no {DATABASE_FILE}. Name the one that the server uses.")
    try:
        return work()
    except (DatabaseRefused, Unavailable) as error:
        raise NoDataFolder(str(error)) from error
    except OSError as error:
        raise NoDataFolder(
            f"{error.filename or data} cannot be used: {error.strerror or error}. Run this as the server's own user."
        ) from error
