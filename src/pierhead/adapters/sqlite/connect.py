"""Connections to the database file, and its schema version.

Pragmas: ``synchronous=FULL`` on every connection, since in WAL mode NORMAL may lose an acknowledged commit with the
power (sqlite.org/pragma.html#pragma_synchronous). SQLite before 3.51.3 can lose commits with two connections
(sqlite.org/wal.html, "The WAL-reset bug"), so an older one is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

SCHEMA_VERSION: Final = 9
_SQLITE_OLDEST: Final = 3_051_003
_APPLICATION_ID: Final = 0x50494552  # "PIER"

_READ_AND_WRITE: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA cache_size=-{cache_kib}",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
)


class DatabaseRefused(Exception):
    """The database file cannot be used as it is; the message says why and what to do."""


def connect(path: Path, *, writable: bool, cache_kib: int = 16_384, flags: int = _READ_AND_WRITE) -> apsw.Connection:
    """A connection with this program's pragmas.

    Raises DatabaseRefused for an SQLite that is too old, and for a file that is not of this program.
    """
    if apsw.SQLITE_VERSION_NUMBER < _SQLITE_OLDEST:
        raise DatabaseRefused(f"SQLite {apsw.sqlite_lib_version()} can lose commits; 3.51.3 or newer is needed.")
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=200)
    # Without this every statement is planned again whenever other values are bound to it: 38 instead of 8 µs a look-up.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(5000)
    try:
        # Before anything is set: a file of another program is left as it is.
        _version(connection)
        _prepare(connection, cache_kib, sets_mode=not flags & apsw.SQLITE_OPEN_READONLY)
    except apsw.NotADBError as error:
        connection.close()
        raise DatabaseRefused("The database file is no database, or is damaged. Restore the last backup.") from error
    except BaseException:
        connection.close()
        raise
    if not writable:
        connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def _prepare(connection: apsw.Connection, cache_kib: int, *, sets_mode: bool) -> None:
    for pragma in _PRAGMAS if sets_mode else _PRAGMAS[1:]:  # a backup is in no WAL mode, and cannot be put into it
        connection.execute(pragma.format(cache_kib=cache_kib)).fetchall()


def migrate(connection: apsw.Connection) -> None:
    """Brings the schema to this program's version, one transaction for each step.

    Raises DatabaseRefused if the file was written by a newer version or by another program.
    """
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise DatabaseRefused(
            f"The data folder was written by a newer Pierhead (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Start that version, or restore a backup from before the upgrade."
        )
    if version == SCHEMA_VERSION:
        return
    from importlib.resources import files  # here, since a database that is up to date opens sooner without it

    for step in range(version + 1, SCHEMA_VERSION + 1):
        script = files("pierhead.adapters.sqlite").joinpath(f"schema/{step:04}.sql").read_text("utf-8")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < step:
                connection.execute(script)
                connection.execute(f"PRAGMA user_version={step}")
                connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def belongs_here(connection: apsw.Connection) -> None:
    """Raises DatabaseRefused for a file of another program. Writes nothing."""
    _version(connection)


def _version(connection: apsw.Connection) -> int:
    """In one snapshot: another process may be making the schema just now."""
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        version = connection.execute("PRAGMA user_version").get
        application = connection.execute("PRAGMA application_id").get
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    finally:
        if alone:
            connection.execute("ROLLBACK")
    assert isinstance(version, int)
    if (version > 0 and application != _APPLICATION_ID) or (version == 0 and tables):
        raise DatabaseRefused("The database file belongs to another program. Name another data folder.")
    return version
