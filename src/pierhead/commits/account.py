"""Accounts, roles and access tokens are made, changed and taken away, each with the event that tells of it.

Secrets come as hashes, and no event names even those. Whoever holds accounts in memory learns of each change by the
note ACCOUNTS_VERSION, written in the same transaction; so does whoever accepts what was made with an access token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.access import Rules
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals_accounts import (
    AccessTokenUnknown,
    AccountUnknown,
    NameTaken,
    RoleInUse,
    RoleUnknown,
    TooManyAccessTokens,
)
from pierhead.domain.roles import rules_document
from pierhead.ports.metadata.accounts import ACCOUNTS_VERSION, AccessTokenRow, AccountRow
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event

_REVOKED_KEPT: Final = 30 * 24 * 3600 * 1_000_000


class By(Struct, frozen=True):
    """Who does it, and what the event tells of the request (address, agent, how they signed in)."""

    account: str
    circumstances: Mapping[str, object] = field(default_factory=dict)


class NewAccount(Discreet, frozen=True):
    """``password_hash`` is an Argon2 hash in PHC form; None for an account with access tokens only."""

    name: str
    kind: str
    roles: tuple[str, ...]
    password_hash: str | None = None
    disabled: bool = False


class AccountChange(Discreet, frozen=True):
    """None leaves a thing as it is."""

    roles: tuple[str, ...] | None = None
    disabled: bool | None = None
    kind: str | None = None
    password_hash: str | None = None


def add_account(tx: Tx, new: NewAccount, by: By) -> None:
    """Access and refresh tokens that an earlier account of this name left hold no more. Raises NameTaken."""
    row = AccountRow(new.name, new.kind, new.password_hash, new.roles, new.disabled, tx.now, by.account)
    if not tx.accounts.add(row):
        raise NameTaken("an account", new.name, "")
    tx.access_tokens.revoke_all(new.name)
    tx.refreshes.revoke(new.name, None)
    told = {"kind": new.kind, "roles": list(new.roles), "disabled": new.disabled, "password": bool(new.password_hash)}
    _tell(tx, "account.created", by, {"name": new.name, **told})


def change_account(tx: Tx, name: str, change: AccountChange, by: By) -> None:
    """Refresh tokens go with the password that they stand for, and when the account is disabled.

    Raises AccountUnknown.
    """
    row = tx.accounts.find(name)
    if row is None:
        raise AccountUnknown(name)
    told: dict[str, object] = {}
    for key in ("roles", "disabled", "kind"):
        wanted = getattr(change, key)
        if wanted is not None and wanted != getattr(row, key):
            told[key] = wanted
    values = {key: getattr(change, key) for key in told}
    if change.password_hash is not None:
        values["password_hash"] = change.password_hash
        told["password"] = "changed"
    if "password" in told or told.get("disabled"):
        tx.refreshes.revoke(name, None)
    if told:
        tx.accounts.change(replace(row, version=row.version + 1, **values))
        if change.disabled or change.password_hash is not None:
            tx.sessions.end_all(name)
        _tell(tx, "account.changed", by, {"name": name, **told})


def remove_account(tx: Tx, name: str, by: By) -> None:
    """Its access tokens are revoked, and its refresh tokens go. Raises AccountUnknown."""
    if not tx.accounts.remove(name):
        raise AccountUnknown(name)
    tx.sessions.end_all(name)
    revoked = tx.access_tokens.revoke_all(name)
    tx.refreshes.revoke(name, None)
    _tell(tx, "account.removed", by, {"name": name, "access_tokens": revoked})


def put_role(tx: Tx, name: str, rules: Rules, by: By) -> bool:
    """Makes the role or gives it other rules; True if it is new."""
    new = tx.roles.put(name, rules)
    _tell(tx, "role.created" if new else "role.changed", by, {"name": name, "rules": rules_document(rules)})
    return new


def remove_role(tx: Tx, name: str, known: Sequence[str], by: By) -> None:
    """Raises RoleInUse, RoleUnknown, which names those that are ``known``."""
    if users := tx.accounts.having(name):
        raise RoleInUse(name, users)
    if not tx.roles.remove(name):
        raise RoleUnknown(name, known)
    _tell(tx, "role.removed", by, {"name": name})


class NewAccessToken(Discreet, frozen=True):
    """``seconds`` is how long it holds, None for ever. ``account`` came from ``origin``; where that is the database,
    ``kept`` is True and the account has to be there still."""

    id: str
    account: str
    origin: str
    kept: bool
    name: str
    hash: bytes
    limit: Rules | None
    seconds: int | None


def add_access_token(tx: Tx, new: NewAccessToken, by: By) -> AccessTokenRow:
    """Raises AccountUnknown, TooManyAccessTokens, NameTaken."""
    if new.kept and tx.accounts.find(new.account) is None:
        raise AccountUnknown(new.account)
    tx.access_tokens.forget(new.account, tx.now - _REVOKED_KEPT)
    if tx.access_tokens.count(new.account) >= limits.ACCESS_TOKENS_PER_ACCOUNT_MAX:
        raise TooManyAccessTokens(new.account, limits.ACCESS_TOKENS_PER_ACCOUNT_MAX)
    expires = None if new.seconds is None else tx.now + new.seconds * 1_000_000
    row = AccessTokenRow(new.id, new.account, new.origin, new.name, new.hash, new.limit, tx.now, by.account, expires)
    if not tx.access_tokens.add(row):
        raise NameTaken("an access token", new.name, f" of {new.account}")
    limit = None if new.limit is None else rules_document(new.limit)
    told = {"account": new.account, "id": new.id, "name": new.name, "rules": limit, "expires": expires}
    tx.events.append(None, Event("access_token.made", by.account, {**told, **by.circumstances}))
    return row


def revoke_access_token(tx: Tx, account: str, token: str, by: By) -> None:
    """Raises AccessTokenUnknown, also for one of another account."""
    name = tx.access_tokens.revoke(account, token)
    if name is None:
        raise AccessTokenUnknown(account)
    _tell(tx, "access_token.revoked", by, {"account": account, "id": token, "name": name})


def _tell(tx: Tx, kind: str, by: By, what: Mapping[str, object]) -> None:
    event = tx.events.append(None, Event(kind, by.account, {**what, **by.circumstances}))
    tx.notes.put(ACCOUNTS_VERSION, str(event))
