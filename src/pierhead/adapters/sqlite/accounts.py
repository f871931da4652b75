"""Accounts, roles, access tokens and when secrets were used."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

import apsw
import msgspec

from pierhead.domain.access import Rules
from pierhead.domain.roles import rules_document, rules_of_document
from pierhead.ports.metadata.accounts import ACCOUNTS_VERSION, AccessTokenRow, AccountRow, People

_TOKEN_COLUMNS: Final = (
    "id, account, origin, name, hash, rules, created, created_by, expires, revoked, last_used, last_address"
)
_ACCOUNT_COLUMNS: Final = "name, kind, password_hash, roles, disabled, created, created_by, version"

ACCESS_TOKEN = f"SELECT {_TOKEN_COLUMNS} FROM access_tokens WHERE hash=?"
ACCESS_TOKENS = f"""
SELECT {_TOKEN_COLUMNS} FROM access_tokens WHERE account=? AND revoked IS NULL ORDER BY created
"""
USES = "SELECT account, kind, fingerprint, first, last, address FROM last_uses WHERE account=? ORDER BY last DESC"


class _Moment(Protocol):
    now: int


def token_row(row: Sequence[Any]) -> AccessTokenRow:
    """From ``_TOKEN_COLUMNS``."""
    limit = None if row[5] is None else _rules(row[5])
    return AccessTokenRow(row[0], row[1], row[2], row[3], row[4], limit, *row[6:12])


def account_row(row: Sequence[Any]) -> AccountRow:
    """From ``_ACCOUNT_COLUMNS``."""
    return AccountRow(row[0], row[1], row[2], tuple(msgspec.json.decode(row[3])), bool(row[4]), row[5], row[6], row[7])


def read_people(connection: apsw.Connection, since: int) -> People:
    """All of one snapshot, which the caller has begun."""
    version = connection.execute("SELECT value FROM settings WHERE name=?", (ACCOUNTS_VERSION,)).get
    accounts = connection.execute(f"SELECT {_ACCOUNT_COLUMNS} FROM accounts ORDER BY name")
    roles = connection.execute("SELECT name, rules FROM roles ORDER BY name")
    revoked = connection.execute("SELECT id, account FROM access_tokens WHERE revoked>=?", (since,))
    return People(
        version if isinstance(version, str) else "",
        [account_row(row) for row in accounts],
        {name: _rules(rules) for name, rules in roles},
        {str(token): str(account) for token, account in revoked},
    )


def _rules(text: str) -> Rules:
    """What was checked when it was written. An empty list is a token that was narrowed to nothing."""
    document = msgspec.json.decode(text)
    return rules_of_document(document) if document else ()


def _text(rules: Rules) -> str:
    return msgspec.json.encode(rules_document(rules)).decode()


class SqliteAccounts:
    """Implements ``ports.metadata.accounts.Accounts``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def find(self, name: str) -> AccountRow | None:
        """Names are compared letter by letter."""
        row = self._execute(f"SELECT {_ACCOUNT_COLUMNS} FROM accounts WHERE name=?", (name,)).fetchone()
        return None if row is None else account_row(row)

    def add(self, row: AccountRow) -> bool:
        """The unique name decides."""
        self._execute(
            f"INSERT INTO accounts ({_ACCOUNT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (name) DO NOTHING",
            (row.name, *_changing(row), row.created, row.created_by, row.version),
        )
        return self._connection.changes() > 0

    def change(self, row: AccountRow) -> None:
        """All but what never changes."""
        self._execute(
            "UPDATE accounts SET kind=?, password_hash=?, roles=?, disabled=?, version=? WHERE name=?",
            (*_changing(row), row.version, row.name),
        )

    def remove(self, name: str) -> bool:
        """Its uses go with it."""
        self._execute("DELETE FROM last_uses WHERE account=?", (name,))
        self._execute("DELETE FROM accounts WHERE name=?", (name,))
        return self._connection.changes() > 0

    def having(self, role: str) -> Sequence[str]:
        """By name. Accounts are few, and their roles stand in one column."""
        rows = self._execute("SELECT name, roles FROM accounts ORDER BY name")
        return [name for name, roles in rows if role in msgspec.json.decode(roles)]


def _changing(row: AccountRow) -> tuple[str, str | None, str, int]:
    return row.kind, row.password_hash, msgspec.json.encode(row.roles).decode(), int(row.disabled)


class SqliteRoles:
    """Implements ``ports.metadata.accounts.Roles``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def put(self, name: str, rules: Rules) -> bool:
        """The version of one that is new is 1."""
        version = self._execute(
            """INSERT INTO roles (name, rules, version) VALUES (?,?,1)
               ON CONFLICT (name) DO UPDATE SET rules=excluded.rules, version=version+1 RETURNING version""",
            (name, _text(rules)),
        ).get
        return bool(version == 1)

    def remove(self, name: str) -> bool:
        """Who has it is the caller's to look at."""
        self._execute("DELETE FROM roles WHERE name=?", (name,))
        return self._connection.changes() > 0


class SqliteAccessTokens:
    """Implements ``ports.metadata.accounts.AccessTokens``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._moment = moment

    def add(self, row: AccessTokenRow) -> bool:
        """The unique index over names that hold decides."""
        limit = None if row.limit is None else _text(row.limit)
        self._execute(
            """INSERT INTO access_tokens (id, account, origin, name, hash, rules, created, created_by, expires)
               VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (account, name) WHERE revoked IS NULL DO NOTHING""",
            (row.id, row.account, row.origin, row.name, row.hash, limit, row.created, row.created_by, row.expires),
        )
        return self._connection.changes() > 0

    def count(self, account: str) -> int:
        """Expired ones too."""
        found = self._execute("SELECT count(*) FROM access_tokens WHERE account=? AND revoked IS NULL", (account,)).get
        assert isinstance(found, int)
        return found

    def revoke(self, account: str, token: str) -> str | None:
        """The row stays for a while, so that whoever uses it still is told why."""
        name = self._execute(
            "UPDATE access_tokens SET revoked=? WHERE id=? AND account=? AND revoked IS NULL RETURNING name",
            (self._moment.now, token, account),
        ).get
        return name if isinstance(name, str) else None

    def revoke_all(self, account: str) -> int:
        """How many there were."""
        self._execute(
            "UPDATE access_tokens SET revoked=? WHERE account=? AND revoked IS NULL", (self._moment.now, account)
        )
        return self._connection.changes()

    def used(self, token: str, at: int, address: str) -> None:
        """Workers tell of uses in any order."""
        self._execute(
            "UPDATE access_tokens SET last_used=?1, last_address=?2 WHERE id=?3 AND coalesce(last_used, 0)<=?1",
            (at, address, token),
        )

    def forget(self, account: str, before: int) -> None:
        """Rows that nobody is told of any more."""
        self._execute("DELETE FROM access_tokens WHERE account=? AND revoked<?", (account, before))


class SqliteUses:
    """Implements ``ports.metadata.accounts.Uses``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def note(self, account: str, kind: str, fingerprint: str, at: int, address: str) -> None:
        """Workers tell of uses in any order."""
        self._execute(
            """INSERT INTO last_uses (account, kind, fingerprint, first, last, address) VALUES (?1,?2,?3,?4,?4,?5)
               ON CONFLICT DO UPDATE SET first=min(first, excluded.first), last=excluded.last, address=excluded.address
               WHERE excluded.last>=last""",
            (account, kind, fingerprint, at, address),
        )

    def keep_only(self, accounts: Collection[str]) -> None:
        """See the port."""
        self._execute(
            """DELETE FROM last_uses WHERE account NOT IN (SELECT name FROM accounts)
               AND account NOT IN (SELECT value FROM json_each(?))""",
            (json.dumps(list(accounts)),),
        )
