"""A new password for ``admin``, in a data folder that a server may be using."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pierhead.adapters.sqlite.connect import DatabaseRefused
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.first_start import PASSWORD_FILE, reset_admin
from pierhead.boot.wire import DATABASE_FILE
from pierhead.domain.refusals import Unavailable
from pierhead.ports.faults import NoFaults


class NoDataFolder(Exception):
    """The folder cannot be used as it is; the message says why and what to do."""


def reset(data: Path) -> Path:
    """Returns the file that holds the new password. Raises NoDataFolder."""
    if not (data / DATABASE_FILE).is_file():
        raise NoDataFolder(f"{data} is no data folder: it has no {DATABASE_FILE}. Name the one that the server uses.")
    try:
        asyncio.run(_reset(data))
    except (DatabaseRefused, Unavailable) as error:
        raise NoDataFolder(str(error)) from error
    except OSError as error:
        raise NoDataFolder(
            f"{error.filename or data} cannot be used: {error.strerror or error}. Run this as the server's own user."
        ) from error
    return data / PASSWORD_FILE


async def _reset(data: Path) -> None:
    store = await SqliteStore.open(data / DATABASE_FILE, SystemClock(), NoFaults(), shared=True)
    try:
        await reset_admin(store, SystemEntropy(), data)
    finally:
        await store.close()
