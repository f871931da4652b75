"""Sessions of people in browsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import apsw

from pierhead.ports.metadata.sessions import SessionRow

_COLUMNS: Final = "id, account, stamp, through, created, seen, expires, address, agent"
SELECT_SESSION: Final = f"SELECT {_COLUMNS} FROM sessions WHERE id=?"


def session_row(row: Sequence[Any]) -> SessionRow:
    """From the columns of ``SELECT_SESSION``."""
    return SessionRow(*row)


def sessions_of(execute: Callable[..., Iterable[Any]], account: str) -> Sequence[SessionRow]:
    """The newest first."""
    rows = execute(f"SELECT {_COLUMNS} FROM sessions WHERE account=? ORDER BY created DESC, id", (account,))
    return [session_row(row) for row in rows]


class SqliteSessions:
    """Implements ``ports.metadata.sessions.Sessions``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def open(self, row: SessionRow) -> None:
        """A new session."""
        values = (row.stamp, row.through, row.created, row.seen, row.expires, row.address, row.agent)
        self._execute(f"INSERT INTO sessions ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", (row.id, row.account, *values))

    def of(self, account: str) -> Sequence[SessionRow]:
        """The newest first."""
        return sessions_of(self._execute, account)

    def touch(self, session: bytes, seen: int) -> None:
        """Never back."""
        self._execute("UPDATE sessions SET seen=?2 WHERE id=?1 AND seen<?2", (session, seen))

    def end(self, account: str, session: bytes) -> bool:
        """Of this account only."""
        self._execute("DELETE FROM sessions WHERE id=? AND account=?", (session, account))
        return self._connection.changes() > 0

    def end_all(self, account: str) -> None:
        """See the port."""
        self._execute("DELETE FROM sessions WHERE account=?", (account,))

    def expire(self, now: int, idle: int) -> int:
        """Both kinds of rows."""
        self._execute("DELETE FROM sessions WHERE expires<=? OR seen<?", (now, idle))
        ended = self._connection.changes()
        self._execute("DELETE FROM spent WHERE until<=?", (now,))
        return ended + self._connection.changes()

    def spend(self, mark: bytes, until: int) -> bool:
        """One statement decides."""
        self._execute("INSERT OR IGNORE INTO spent (mark, until) VALUES (?,?)", (mark, until))
        return self._connection.changes() > 0

    def account_of(self, issuer: str, subject: str) -> str | None:
        """None for somebody new."""
        found = self._execute("SELECT account FROM sign_on_people WHERE issuer=? AND subject=?", (issuer, subject)).get
        return found if isinstance(found, str) else None

    def bind(self, issuer: str, subject: str, account: str) -> None:
        """Whoever had the account before has it no more."""
        self._execute("DELETE FROM sign_on_people WHERE account=?", (account,))
        self._execute(
            "INSERT OR REPLACE INTO sign_on_people (issuer, subject, account) VALUES (?,?,?)",
            (issuer, subject, account),
        )
