"""Who may sign in to one process: the directory of accounts, and the sources of identity that its guard asks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pierhead.adapters.access_tokens import AccessTokenSource
from pierhead.adapters.passwords import Argon2, PasswordAccount, PasswordSource
from pierhead.boot.config_secrets import ResolvedAccount, ResolvedSecrets
from pierhead.boot.first_start import admin_hash, known_admin_hash
from pierhead.boot.settings import Settings
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.domain.secrets import PREFIX, fingerprint_of
from pierhead.faces.door.guard import Guard, ReadToken
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Checked, Credential, NotMine, Wrong
from pierhead.ports.metadata.store import Store, Tx
from pierhead.repositories.directory import Account, Desk, Directory, FileAccount, FileKnows, Origin
from pierhead.repositories.last_uses import LastUses

_ADMIN: Final = "admin"
_SALT_NOTE: Final = "passwords.salt"


@dataclass(frozen=True, slots=True)
class Prepared:
    """``hashes`` are Argon2 hashes in PHC form by account; None for one that is disabled."""

    file: FileKnows
    hashes: Mapping[str, str | None] = field(repr=False)
    warnings: tuple[str, ...] = ()


class Logins:
    """Made once for a process; ``prepare`` and ``use`` whenever the configuration was read."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, guard: Guard) -> None:
        self._store = store
        self._entropy = entropy
        self._guard = guard
        self.directory = Directory(store, self._changed)
        self.argon2 = Argon2()
        self._hashes: Mapping[str, str | None] = {}
        self._passwords = PasswordSource({}, self.argon2)
        self._sources = (AccessTokenSource(store.lookups, self.directory, clock), self)
        self.desk = Desk(self.directory, self.argon2, self.password_of)
        guard.used = LastUses(store, clock).note

    async def prepare(self, settings: Settings, secrets: ResolvedSecrets, data: Path) -> Prepared:
        """What the configuration says of accounts, with every password hashed. Nothing changes yet."""
        salt = await self._store.write(self._salt)
        admin = await admin_hash(self._store, self._entropy, data)
        resolved = secrets.accounts
        made = await asyncio.gather(*(self._hash(account, salt) for account in resolved.values()))
        hashes = {_ADMIN: admin, **dict(zip(resolved, made, strict=True))}
        accounts = {_ADMIN: FileAccount(_ADMIN, ("admin",), Origin.BUILT_IN)} | {
            name: FileAccount(name, account.roles, disabled=hashes[name] is None) for name, account in resolved.items()
        }
        later = tuple(stage.repository for stage in settings.stages[1:])
        return Prepared(FileKnows(accounts, settings.roles, later), hashes, tuple(_warnings(resolved)))

    async def use(self, prepared: Prepared) -> tuple[str, ...]:
        """This holds from now on, and nobody is remembered of before. Returns warnings."""
        self._hashes = prepared.hashes
        await self.directory.use(prepared.file)
        self._build()
        hidden = sorted(self.directory.hidden)
        if not hidden:
            return prepared.warnings
        names = ", ".join(hidden[:10])
        told = f"The configuration file wins over REST, which made these accounts or roles too: {names}."
        return (*prepared.warnings, told)

    def enter(self, read_token: ReadToken) -> None:
        """From now on the guard asks these sources, and ``read_token`` about bearer tokens."""
        self._guard.replace(self._sources, read_token)

    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        """Passwords of everybody who is there by now: another process may have made, changed or disabled somebody.

        A database that does not answer just now locks nobody out.
        """
        try:
            await self.directory.fresh()
        except Unavailable:
            pass
        return await self._passwords.verify(credential)

    def password_of(self, account: Account) -> str | None:
        """What ``fingerprint_of`` tells from the password before; None without one."""
        return account.row.password_hash if account.row is not None else self._hashes.get(account.name)

    def _changed(self, accounts: Collection[str]) -> None:
        self._build()
        self._guard.forget(accounts)

    def _build(self) -> None:
        accounts = self.directory.accounts
        self._passwords = PasswordSource(
            {name: self._password_account(account) for name, account in accounts.items()}, self.argon2
        )

    def _password_account(self, account: Account) -> PasswordAccount:
        hashed = None if account.disabled else self.password_of(account)
        through: dict[str, object] = {"how": "password"}
        if account.origin is Origin.BUILT_IN:
            return PasswordAccount(
                replace(account.principal, through=MappingProxyType({**through, "fingerprint": "admin.password"})),
                hashed,
                renewed=lambda: known_admin_hash(self._store),
            )
        if hashed is not None:
            through["fingerprint"] = fingerprint_of(hashed)
        return PasswordAccount(replace(account.principal, through=MappingProxyType(through)), hashed)

    def _salt(self, tx: Tx) -> str:
        """Of this data folder, so that a password that stays the same is told by the same fingerprint ever after."""
        found = tx.notes.get(_SALT_NOTE)
        if found is None:
            found = base64.b64encode(self._entropy.token(32)).decode()
            tx.notes.put(_SALT_NOTE, found)
        return found

    async def _hash(self, account: ResolvedAccount, salt: str) -> str | None:
        if account.password_hash is not None:
            return account.password_hash.value
        if account.password is None or account.password.value.startswith(PREFIX):
            return None
        own = hashlib.blake2b(account.name.encode(), key=salt.encode(), digest_size=16).digest()
        return await self.argon2.hash(account.password.value, salt=own)


def _warnings(resolved: Mapping[str, ResolvedAccount]) -> list[str]:
    return [
        f"Account {name} is disabled: its password begins with {PREFIX}, as access tokens do. Give it another."
        for name, account in resolved.items()
        if account.password is not None and account.password.value.startswith(PREFIX)
    ]
