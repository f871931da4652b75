"""Accounts with passwords: Argon2id hashes, made and checked in threads, at most two at once.

Parameters: OWASP Password Storage Cheat Sheet, second choice for Argon2id (19 MiB, two passes, one lane).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from pierhead.domain.access import Principal
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import Unavailable
from pierhead.ports.identity import Credential, NotMine, Wrong
from pierhead.ports.secrets import RotatedPasswords

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_PASSWORD_BYTES_MAX: Final = 4_096
_AT_ONCE: Final = 2
_WRONG: Final = Wrong("Name or password is wrong.")
NOBODYS: Final = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
"""A hash that no known password fits, and that costs what hashes made here cost."""


class PasswordAccount(Discreet, frozen=True):
    """``hashed`` is an Argon2 hash in PHC form, None for an account that is disabled.
    ``renewed`` is asked at each check, for a hash that others may change; None from it leaves ``hashed`` in force.
    ``rotated`` has the hashes instead, of a password that is kept elsewhere."""

    principal: Principal
    hashed: str | None = None
    renewed: Callable[[], Awaitable[str | None]] | None = None
    rotated: RotatedPasswords | None = None


def hash_password(password: str, salt: bytes | None = None) -> str:
    """An Argon2id hash in PHC form; takes tens of milliseconds. Without ``salt``, 16 bytes, a random one is taken."""
    return _HASHER.hash(password, salt=salt)


class Argon2:
    """Hashes in threads. A process has one, so that what logins cost it in memory and processors stays bounded."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str, *, salt: bytes | None = None) -> str:
        """An Argon2id hash in PHC form."""
        async with self._turns:
            return await asyncio.to_thread(hash_password, password, salt)

    async def fits(self, hashed: str, password: str) -> bool:
        """Whether ``hashed`` (PHC form) was made of ``password``; False for a hash that cannot be read."""
        async with self._turns:
            return await asyncio.to_thread(_fits, hashed, password)


class PasswordSource:
    """Implements ``ports.identity.IdentitySource`` for accounts that are all known."""

    def __init__(self, accounts: Mapping[str, PasswordAccount], argon2: Argon2) -> None:
        self._accounts = accounts
        self._argon2 = argon2
        self._doubles = [accounts[name] for name in sorted(accounts)]
        self._key = hashlib.blake2b("\n".join(sorted(accounts)).encode(), digest_size=32).digest()

    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        """One hash is checked in any case. Raises Unavailable where the password is kept elsewhere, cannot be asked
        for, and was never known."""
        account = self._accounts.get(credential.name)
        if account is None or (account.hashed is None and account.rotated is None):
            await self._fitting(self._double(credential.name), credential.password, in_vain=True)
            return _WRONG
        fitting = await self._fitting(account, credential.password)
        if fitting is None:
            return _WRONG
        return account.principal if account.rotated is None else account.rotated.signed(account.principal, fitting)

    async def _fitting(self, account: PasswordAccount | None, password: str, *, in_vain: bool = False) -> str | None:
        """The hash that fits; ``in_vain`` does what a wrong password costs this account, whatever the password is."""
        rotated = None if account is None else account.rotated
        if account is None or rotated is None:
            known = None if account is None else account.hashed
            return await self._first(
                [NOBODYS if account is None or known is None else await _current(account, known)], password, in_vain
            )
        tried = rotated.hashes()
        fitting = await self._first(tried, password, in_vain)
        if fitting is not None:
            return fitting
        newer = await rotated.look_again(tried)
        if not tried and not newer:
            newer, in_vain = [NOBODYS], True
        return await self._first(newer, password, in_vain)

    async def _first(self, hashes: Sequence[str], password: str, in_vain: bool) -> str | None:
        for hashed in hashes:
            if await self._argon2.fits(hashed, password) and not in_vain:
                return hashed
        return None

    def _double(self, name: str) -> PasswordAccount | None:
        """Whose place is taken by a name without an account, always the same for a name, and in every worker.

        Accounts' own hashes may cost more or less than those made here, an account may have two passwords, and one that
        is kept elsewhere is asked for when a login fails. Who does all of that for one of them takes as long as they
        do, and time tells nobody who is there.
        """
        if not self._doubles:
            return None
        mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        return self._doubles[int.from_bytes(mark, "big") % len(self._doubles)]


async def _current(account: PasswordAccount, known: str) -> str:
    """A database that does not answer just now locks nobody out."""
    try:
        return (await account.renewed() if account.renewed is not None else None) or known
    except (TimeoutError, Unavailable):
        return known


def _fits(hashed: str, password: str) -> bool:
    try:
        secret = password.encode()
        return len(secret) <= _PASSWORD_BYTES_MAX and _HASHER.verify(hashed, secret)
    except (Argon2Error, InvalidHashError, UnicodeError):
        return False
