"""Command lines that wait for somebody to approve them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.ports.metadata.device_logins import DeviceLogin, LoginState

_COLUMNS: Final = "id, code, machine, address, agent, created, expires, polled, state, account"


class SqliteDeviceLogins:
    """Implements ``ports.metadata.device_logins.DeviceLogins``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def open(self, row: DeviceLogin, most: int) -> bool:
        """See the port."""
        self._execute("DELETE FROM device_logins WHERE expires<=?", (row.created,))
        (count,) = one(self._execute("SELECT count(*) FROM device_logins"))
        if count >= most:
            return False
        values = (row.id, row.code, row.machine, row.address, row.agent, row.created, row.expires, row.polled)
        self._execute(
            f"INSERT OR IGNORE INTO device_logins ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (*values, row.state.value, row.account),
        )
        return self._connection.changes() > 0

    def by_id(self, login: bytes) -> DeviceLogin | None:
        """Also one that has ended."""
        return _row(self._execute(f"SELECT {_COLUMNS} FROM device_logins WHERE id=?", (login,)).fetchone())

    def by_code(self, code: bytes) -> DeviceLogin | None:
        """Also one that has ended."""
        return _row(self._execute(f"SELECT {_COLUMNS} FROM device_logins WHERE code=?", (code,)).fetchone())

    def decide(self, login: bytes, state: LoginState, account: str) -> bool:
        """One statement decides."""
        self._execute(
            "UPDATE device_logins SET state=?, account=? WHERE id=? AND state='asked'", (state.value, account, login)
        )
        return self._connection.changes() > 0

    def polled(self, login: bytes, at: int) -> None:
        """When it asked last."""
        self._execute("UPDATE device_logins SET polled=? WHERE id=?", (at, login))

    def forget(self, login: bytes) -> bool:
        """See the port."""
        self._execute("DELETE FROM device_logins WHERE id=?", (login,))
        return self._connection.changes() > 0


def _row(row: Sequence[Any] | None) -> DeviceLogin | None:
    if row is None:
        return None
    login, code, machine, address, agent, created, expires, polled, state, account = row
    return DeviceLogin(login, code, machine, address, agent, created, expires, polled, LoginState(state), account)
