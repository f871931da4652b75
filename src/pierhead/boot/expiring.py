"""A dry run of expiry on a data folder, which is only read: no server is needed, and one that runs is not disturbed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw

from pierhead.adapters.sqlite.connect import DatabaseRefused
from pierhead.adapters.sqlite.reading import SqliteReading
from pierhead.adapters.system import SystemClock
from pierhead.boot.config import load
from pierhead.boot.reset import NoDataFolder
from pierhead.boot.wire import DATABASE_FILE
from pierhead.faces.rest.expiry import planned
from pierhead.faces.rest.shapes import Json
from pierhead.jobs.expire import plan


def dry_run(data: Path, config: Path, limit: int) -> Json:
    """What the rules of the file would take away, in the form of the REST API. Raises ConfigFaults, NoDataFolder."""
    settings = load(config, data=data)
    file = data / DATABASE_FILE
    if not file.is_file():
        raise NoDataFolder(f"{data} is no data folder: it has no {DATABASE_FILE}. Name the one that the server uses.")

    async def look() -> Json:
        with SqliteReading(file) as reading:
            return planned(await plan(reading, settings.expiry.rules, SystemClock().now()), limit)

    try:
        return {**asyncio.run(look()), "last_run": None}
    except DatabaseRefused as error:
        raise NoDataFolder(str(error)) from error
    except apsw.CorruptError as error:
        raise NoDataFolder(f"{file} is damaged: {error}. Restore the last backup.") from error
    except (apsw.Error, OSError) as error:
        raise NoDataFolder(f"{file} cannot be read: {error}. Run this as the server's own user.") from error
    except TimeoutError as error:
        raise NoDataFolder("To look at this takes too long: ask the server, without --data.") from error
