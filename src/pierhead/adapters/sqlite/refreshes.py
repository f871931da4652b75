"""Refresh tokens: rows that clients hold the keys to."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from pierhead.ports.metadata.values import RefreshRow

_COLUMNS = "id, account, client, made, used, until"


class SqliteRefreshes:
    """Implements ``ports.metadata.store.Refreshes``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, mark: bytes, row: RefreshRow, most: int) -> None:
        """See the port."""
        execute = self._connection.execute
        execute("DELETE FROM refresh_tokens WHERE until<=?", (row.made,))
        execute(
            "INSERT INTO refresh_tokens (mark, account, client, made, used, until) VALUES (?,?,?,?,?,?)",
            (mark, row.account, row.client, row.made, row.used, row.until),
        )
        execute(
            "DELETE FROM refresh_tokens WHERE account=?1 AND id NOT IN "
            "(SELECT id FROM refresh_tokens WHERE account=?1 ORDER BY id DESC LIMIT ?2)",
            (row.account, most),
        )

    def touch(self, refresh: int, used: int) -> None:
        """See the port."""
        self._connection.execute("UPDATE refresh_tokens SET used=? WHERE id=?", (used, refresh))

    def revoke(self, account: str, refresh: int | None) -> int:
        """See the port."""
        self._connection.execute(
            "DELETE FROM refresh_tokens WHERE account=?1 AND (?2 IS NULL OR id=?2)", (account, refresh)
        )
        return self._connection.changes()


def refresh_of(connection: apsw.Connection, mark: bytes) -> RefreshRow | None:
    """The row of a token."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM refresh_tokens WHERE mark=?", (mark,)).fetchone()
    return None if row is None else RefreshRow(*row)


def refreshes_of(connection: apsw.Connection, account: str) -> Sequence[RefreshRow]:
    """All of an account, the newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM refresh_tokens WHERE account=? ORDER BY id DESC", (account,))
    return [RefreshRow(*row) for row in rows]
