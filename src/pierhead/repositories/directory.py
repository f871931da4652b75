"""Who there is: accounts of the configuration file, those made over REST, and ``admin``, with the rules of their roles.

One process holds one directory in memory, and looks whether the database has moved on whenever somebody signs in, and a
few times a second besides. A name of the file wins over one of the database, for accounts and for roles.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Collection, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.access import BUILT_IN_ROLES, Principal, Rules, rules_of
from pierhead.domain.discreet import Discreet
from pierhead.domain.names import RepositoryName
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock
from pierhead.ports.identity import Passwords
from pierhead.ports.metadata.accounts import ACCOUNTS_VERSION, AccountRow, People
from pierhead.ports.metadata.store import Store
from pierhead.ports.secrets import Rotations

_REVOKED_MICROS: Final = 2 * limits.TOKEN_SECONDS_MAX * 1_000_000


class Origin(enum.Enum):
    """Where an account or a role is defined."""

    BUILT_IN = "built in"
    FILE = "configuration file"
    REST = "REST"

    @property
    def said(self) -> str:
        """Continues "X is"."""
        if self is Origin.BUILT_IN:
            return "built in"
        return "an account of the configuration file" if self is Origin.FILE else "an account made over REST"


class FileAccount(Struct, frozen=True):
    """An account of the configuration file, or ``admin``. ``disabled`` if its secret cannot be had."""

    name: str
    roles: tuple[str, ...]
    origin: Origin = Origin.FILE
    disabled: bool = False


class Account(Discreet, frozen=True):
    """``row`` is there for an account that was made over REST. ``principal`` has the rules of ``roles``, those that
    there are; it is the same object until one of them changes."""

    principal: Principal
    roles: tuple[str, ...]
    origin: Origin
    disabled: bool
    row: AccountRow | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.principal.name


class FileKnows(Struct, frozen=True):
    """What the configuration file says of accounts and roles. ``later_stages`` are filled by promotion."""

    accounts: Mapping[str, FileAccount] = field(default_factory=dict)
    roles: Mapping[str, Rules] = field(default_factory=dict)
    later_stages: tuple[RepositoryName, ...] = ()


Changed = Callable[[Collection[str]], None]


class Desk(Struct, frozen=True):
    """What is needed to change accounts. ``password_of`` gives an account's Argon2 hash, None without a password;
    ``rotations`` knows of passwords that are kept elsewhere."""

    directory: Directory
    passwords: Passwords
    password_of: Callable[[Account], str | None]
    rotations: Rotations


class Directory:
    """Implements ``ports.identity.LiveAccounts``. ``changed`` is told which accounts are not what they
    were, by name."""

    def __init__(self, store: Store, clock: Clock, changed: Changed) -> None:
        self._store = store
        self._clock = clock
        self._changed = changed
        self._file = FileKnows()
        self._people = People("", (), {})
        self._loaded = False
        self._revoked: frozenset[str] = frozenset()
        self._loading = asyncio.Lock()
        self.accounts: Mapping[str, Account] = {}

    def principal(self, name: str) -> Principal | None:
        """None for an account that is not there or is disabled."""
        account = self.accounts.get(name)
        return None if account is None or account.disabled else account.principal

    def made(self, name: str) -> int:
        """See the port."""
        account = self.accounts.get(name)
        return 0 if account is None or account.row is None else account.row.created

    def revoked(self, access_token: str) -> bool:
        """By id."""
        return access_token in self._revoked

    def origin(self, name: str) -> str | None:
        """As a word; None for an account that is not there."""
        account = self.accounts.get(name)
        return None if account is None else account.origin.value

    def account(self, name: str) -> Account | None:
        """Disabled ones too."""
        return self.accounts.get(name)

    @property
    def roles(self) -> Mapping[str, tuple[Origin, Rules]]:
        """All of them by name, the built-in ones first."""
        later = self._file.later_stages
        return {
            **{name: (Origin.BUILT_IN, rules_of([name], later)) for name in BUILT_IN_ROLES},
            **{name: (Origin.FILE, rules) for name, rules in self._file.roles.items()},
            **{
                name: (Origin.REST, rules) for name, rules in self._people.roles.items() if name not in self._file.roles
            },
        }

    @property
    def hidden(self) -> set[str]:
        """Accounts and roles that were made over REST and that the file names as well."""
        accounts = {row.name for row in self._people.accounts if row.name in self._file.accounts}
        return accounts | {name for name in self._people.roles if name in self._file.roles}

    def rules_by_role(self, account: Account) -> list[tuple[str, Rules]]:
        """What each of its roles gives, in their order; roles that there are no more give nothing."""
        known = self.roles
        return [(role, known[role][1] if role in known else ()) for role in account.roles]

    async def use(self, file: FileKnows) -> None:
        """The file was read: what it says holds from now on."""
        async with self._loading:
            self._people = await self._read()
            self._loaded = True
            self._file = file
            self._build()

    def set_disabled(self, name: str, disabled: bool) -> None:
        """The secret of an account of the file can be had now, or no more."""
        found = self._file.accounts.get(name)
        if found is not None and found.disabled != disabled:
            self._file = replace(self._file, accounts={**self._file.accounts, name: replace(found, disabled=disabled)})
            self._build()

    async def fresh(self) -> None:
        """Returns when this process knows every change that was committed before the call. Raises Unavailable."""
        if await self._store.lookups.note(ACCOUNTS_VERSION) in (self._people.version, None):
            return
        async with self._loading:
            if not self._loaded or await self._store.lookups.note(ACCOUNTS_VERSION) == self._people.version:
                return
            self._people = await self._read()
            self._build()

    async def _read(self) -> People:
        try:
            since = self._clock.now() - _REVOKED_MICROS
            return await self._store.report(lambda reports: reports.people(since))
        except TimeoutError as error:
            raise Unavailable("The accounts cannot be read just now.", kind="slow") from error

    def _build(self) -> None:
        roles = {**self._people.roles, **self._file.roles}
        made: dict[str, Account] = {}
        for row in self._people.accounts:
            made[row.name] = self._account(row.name, row.roles, Origin.REST, row.disabled, roles, row)
        for one in self._file.accounts.values():
            made[one.name] = self._account(one.name, one.roles, one.origin, one.disabled, roles, None)
        before = self.accounts
        revoked = {account for token, account in self._people.revoked.items() if token not in self._revoked}
        self._revoked = frozenset(self._people.revoked)
        changed = revoked | {name for name in {*before, *made} if before.get(name) is not made.get(name)}
        self.accounts = made
        if changed:
            self._changed(changed)

    def _account(
        self,
        name: str,
        roles: tuple[str, ...],
        origin: Origin,
        disabled: bool,
        own: Mapping[str, Rules],
        row: AccountRow | None,
    ) -> Account:
        """The account as it was before, if nothing of it has changed."""
        known = [role for role in roles if role in BUILT_IN_ROLES or role in own]
        rules = rules_of(known, self._file.later_stages, own)
        before = self.accounts.get(name)
        if before is not None and before.principal.rules == rules:
            same = Account(before.principal, roles, origin, disabled, row)
            return before if same == before else same
        return Account(Principal(name, rules), roles, origin, disabled, row)
