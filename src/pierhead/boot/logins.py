"""Who may sign in to one process: the directory of accounts, and the sources of identity that its guard asks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from pierhead.adapters.access_tokens import AccessTokenSource
from pierhead.adapters.passwords import NOBODYS, Argon2, PasswordAccount, PasswordSource
from pierhead.boot.config_secrets import ResolvedAccount, ResolvedSecrets
from pierhead.boot.first_start import admin_hash, known_admin_hash
from pierhead.boot.rotations import ADMIN, RotatingPasswords
from pierhead.boot.settings import Settings
from pierhead.domain.access import Principal
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import Unavailable
from pierhead.domain.secrets import PREFIX, fingerprint_of
from pierhead.faces.door.guard import Guard, ReadToken
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Checked, Credential, IdentitySource, NotMine, Wrong
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.secrets import SecretGone
from pierhead.repositories.directory import Account, Desk, Directory, FileAccount, FileKnows, Origin
from pierhead.repositories.last_uses import LastUses
from pierhead.repositories.rotating import Tools

_SALT_NOTE: Final = "passwords.salt"


class Prepared(Discreet, frozen=True):
    """``hashes`` are Argon2 hashes in PHC form by account; None for one that is disabled, or whose password is kept
    elsewhere. ``plain`` are passwords that are yet to be hashed."""

    settings: Settings
    environ: Mapping[str, str]
    file: FileKnows
    hashes: Mapping[str, str | None]
    plain: Mapping[str, str]
    warnings: tuple[str, ...] = ()


class Logins:
    """Made once for a process; ``prepare`` and ``use`` whenever the configuration was read."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, guard: Guard) -> None:
        self._store = store
        self._entropy = entropy
        self._guard = guard
        self.directory = Directory(store, clock, self._changed)
        self.argon2 = Argon2()
        self._hashes: Mapping[str, str | None] = {}
        self._passwords = PasswordSource({}, self.argon2)
        self._sources = (AccessTokenSource(store.lookups, self.directory, clock), self)
        self._salt = ""
        self._hashing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hashing.cancel()
        self._last_uses = LastUses(store, clock)
        tools = Tools(store, clock, self._hashed, entropy.token(32), self._password_changed)
        self.rotating = RotatingPasswords(tools)
        self.desk = Desk(self.directory, self.argon2, self.password_of, self.rotating)
        guard.used = self._used

    async def prepare(
        self, settings: Settings, secrets: ResolvedSecrets, data: Path, environ: Mapping[str, str]
    ) -> Prepared:
        """What the configuration says of accounts. Nothing changes yet."""
        self._salt = await self._store.write(self._kept_salt, vital=True)
        admin = await admin_hash(self._store, self._entropy, data)
        resolved = secrets.accounts
        plain = {name: one.password.value for name, one in resolved.items() if one.password is not None}
        plain = {name: password for name, password in plain.items() if not password.startswith(PREFIX)}
        hashes = {ADMIN: admin, **{name: _hash_of(one, name in plain) for name, one in resolved.items()}}
        accounts = {ADMIN: FileAccount(ADMIN, ("admin",), Origin.BUILT_IN)} | {
            name: FileAccount(name, account.roles, disabled=hashes[name] is None) for name, account in resolved.items()
        }
        later = tuple(stage.repository for stage in settings.stages[1:])
        return Prepared(
            settings, environ, FileKnows(accounts, settings.roles, later), hashes, plain, tuple(_warnings(resolved))
        )

    async def use(self, prepared: Prepared) -> tuple[str, ...]:
        """This holds from now on, and nobody is remembered of before. Returns warnings."""
        self._hashes = prepared.hashes
        self._hashing.cancel()
        self._hashing = asyncio.ensure_future(self._hash_all(prepared))
        await self.rotating.use(prepared.settings, prepared.environ)
        await self.directory.use(self._with_known(prepared.file))
        self._build()
        hidden = sorted(self.directory.hidden)
        if not hidden:
            return prepared.warnings
        names = ", ".join(hidden[:10])
        told = f"The configuration file wins over REST, which made these accounts or roles too: {names}."
        return (*prepared.warnings, told)

    def enter(self, read_token: ReadToken, id_tokens: IdentitySource) -> None:
        """From now on the guard asks these sources, ``id_tokens`` first, and ``read_token`` about bearer tokens."""
        self._guard.replace((id_tokens, *self._sources), read_token)

    async def hashed(self) -> None:
        """Returns when every password of the configuration is hashed. That is done beside whatever else there is to do
        at a start: only a login waits for it, and nobody who waits for the server to be ready."""
        while not self._hashing.done():
            await asyncio.wait([self._hashing])

    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        """Passwords of everybody who is there by now: another process may have made, changed or disabled somebody.

        A database that does not answer just now locks nobody out.
        """
        await self.hashed()
        try:
            await self.directory.fresh()
        except Unavailable:
            pass
        return await self._passwords.verify(credential)

    def password_of(self, account: Account) -> str | None:
        """What ``fingerprint_of`` tells from the password before; None without one."""
        if account.row is not None:
            return account.row.password_hash
        rotating = self.rotating.of(account.name)
        return self._hashes.get(account.name) if rotating is None else rotating.current

    async def close(self) -> None:
        """Ends what runs."""
        self._hashing.cancel()
        await self.rotating.close()

    def _used(self, who: Principal, address: str) -> None:
        self._last_uses.note(who, address)
        self.rotating.used(who, address)

    def _with_known(self, file: FileKnows) -> FileKnows:
        """An account whose password is kept elsewhere is disabled as long as none is known."""
        accounts = dict(file.accounts)
        for rotating in self.rotating():
            accounts[rotating.account] = replace(accounts[rotating.account], disabled=rotating.current is None)
        return replace(file, accounts=accounts)

    def _password_changed(self, name: str) -> None:
        """Of an account whose password is kept elsewhere: whoever was remembered with the one before is asked again."""
        rotating = self.rotating.of(name)
        if rotating is not None:
            self.directory.set_disabled(name, rotating.current is None)
        self._guard.forget({name})

    def _changed(self, accounts: Collection[str]) -> None:
        self._build()
        self._guard.forget(accounts)

    def _build(self) -> None:
        accounts = self.directory.accounts
        self._passwords = PasswordSource(
            {name: self._password_account(account) for name, account in accounts.items()}, self.argon2
        )

    def _password_account(self, account: Account) -> PasswordAccount:
        through: dict[str, object] = {"how": "password"}
        rotating = self.rotating.of(account.name)
        if rotating is not None and account.origin is Origin.FILE:
            principal = replace(account.principal, through=MappingProxyType(through))
            return PasswordAccount(principal, rotated=rotating)
        hashed = None if account.disabled else self.password_of(account)
        if account.origin is Origin.BUILT_IN:
            return PasswordAccount(
                replace(account.principal, through=MappingProxyType({**through, "fingerprint": "admin.password"})),
                hashed,
                renewed=lambda: known_admin_hash(self._store),
            )
        if hashed is not None:
            through["fingerprint"] = fingerprint_of(hashed)
        return PasswordAccount(replace(account.principal, through=MappingProxyType(through)), hashed)

    def _kept_salt(self, tx: Tx) -> str:
        """Of this data folder, so that a password that stays the same is told by the same fingerprint ever after."""
        found = tx.notes.get(_SALT_NOTE)
        if found is None:
            found = base64.b64encode(self._entropy.token(32)).decode()
            tx.notes.put(_SALT_NOTE, found)
        return found

    async def _hash_all(self, prepared: Prepared) -> None:
        made = await asyncio.gather(*(self._hashed(name, password) for name, password in prepared.plain.items()))
        self._hashes = {**prepared.hashes, **dict(zip(prepared.plain, made, strict=True))}
        self._build()

    async def _hashed(self, name: str, password: str) -> str:
        """Always the same for one account and password. Raises SecretGone for one that looks like an access token."""
        if password.startswith(PREFIX):
            raise SecretGone(f"its password begins with {PREFIX}, as access tokens do")
        own = hashlib.blake2b(name.encode(), key=self._salt.encode(), digest_size=16).digest()
        return await self.argon2.hash(password, salt=own)


def _hash_of(account: ResolvedAccount, later: bool) -> str | None:
    """One that no password fits stands in for one that is still being made."""
    if account.password_hash is not None:
        return account.password_hash.value
    return NOBODYS if later else None


def _warnings(resolved: Mapping[str, ResolvedAccount]) -> list[str]:
    return [
        f"Account {name} is disabled: its password begins with {PREFIX}, as access tokens do. Give it another."
        for name, account in resolved.items()
        if account.password is not None and account.password.value.startswith(PREFIX)
    ]
