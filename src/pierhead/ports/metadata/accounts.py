"""Accounts, roles and access tokens that were made over REST, and when secrets were used. Accounts of the configuration
file have no row here; their access tokens do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct, field

from pierhead.domain.access import Rules
from pierhead.domain.discreet import Discreet

ACCOUNTS_VERSION: Final = "accounts.version"
"""The note that becomes another with each change of an account or a role, and
with each access token that is revoked: who holds them in memory compares it."""


class AccountRow(Discreet, frozen=True):
    """``kind`` is ``person`` or ``service``; without ``password_hash`` (Argon2, PHC form) only access tokens hold.
    ``version`` grows with each change."""

    name: str
    kind: str
    password_hash: str | None
    roles: tuple[str, ...]
    disabled: bool
    created: int
    created_by: str
    version: int = 1


class AccessTokenRow(Discreet, frozen=True):
    """``origin`` is where the account came from when it was made (``repositories.directory.Origin``); ``limit`` narrows
    the account's rules, None does not. ``hash`` is the SHA-256 of the secret."""

    id: str
    account: str
    origin: str
    name: str
    hash: bytes
    limit: Rules | None
    created: int
    created_by: str
    expires: int | None
    revoked: int | None = None
    last_used: int | None = None
    last_address: str | None = None


class Use(Struct, frozen=True):
    """When a secret of an account was used: ``kind`` is ``password``, ``fingerprint`` tells it from the one before.
    Access tokens have it in their own rows."""

    account: str
    kind: str
    fingerprint: str
    first: int
    last: int
    address: str


class People(Struct, frozen=True):
    """Everything that was made over REST, as of one ``version`` (``ACCOUNTS_VERSION``), empty before the first.
    ``revoked`` are access tokens that were revoked lately, by id, with their accounts."""

    version: str
    accounts: Sequence[AccountRow]
    roles: Mapping[str, Rules]
    revoked: Mapping[str, str] = field(default_factory=dict)


class Accounts(Protocol):
    def find(self, name: str) -> AccountRow | None: ...

    def add(self, row: AccountRow) -> bool:
        """False if there is one of this name; then nothing is done."""

    def change(self, row: AccountRow) -> None:
        """Writes all of the row of this name."""

    def remove(self, name: str) -> bool:
        """Forgets it and when its secrets were used; False if there is none."""

    def having(self, role: str) -> Sequence[str]:
        """Names of accounts that have the role."""


class Roles(Protocol):
    def put(self, name: str, rules: Rules) -> bool:
        """True if it is new."""

    def remove(self, name: str) -> bool: ...


class AccessTokens(Protocol):
    def add(self, row: AccessTokenRow) -> bool:
        """False if the account has another that holds under this name; then nothing is done."""

    def count(self, account: str) -> int:
        """Those that are not revoked."""

    def revoke(self, account: str, token: str) -> str | None:
        """By id, from ``tx.now`` on; its name, or None if the account has no such token that is not revoked."""

    def revoke_all(self, account: str) -> int: ...

    def used(self, token: str, at: int, address: str) -> None:
        """A later instant stands."""

    def forget(self, account: str, before: int) -> None:
        """Those that were revoked before then."""


class Uses(Protocol):
    def note(self, account: str, kind: str, fingerprint: str, at: int, address: str) -> None:
        """A later instant stands."""

    def keep_only(self, accounts: Collection[str]) -> None:
        """Forgets what was noted of accounts that are neither among these nor made over REST."""
