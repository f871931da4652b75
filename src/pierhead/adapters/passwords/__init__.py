"""Accounts with passwords: Argon2id hashes, made and checked in threads, at most two at once.

Parameters: OWASP Password Storage Cheat Sheet, second choice for Argon2id (19 MiB, two passes, one lane).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.ports.identity import Credential, NotMine, Wrong

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_PASSWORD_BYTES_MAX: Final = 4_096
_AT_ONCE: Final = 2
_WRONG: Final = Wrong("Name or password is wrong.")
_NOBODYS: Final = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
"""A hash that no known password fits, and that costs what hashes made here cost."""


@dataclass(frozen=True, slots=True)
class PasswordAccount:
    """``hashed`` is an Argon2 hash in PHC form, None for an account that is disabled.
    ``renewed`` is asked at each check, for a hash that others may change; None from it leaves ``hashed`` in force."""

    principal: Principal
    hashed: str | None = field(repr=False)
    renewed: Callable[[], Awaitable[str | None]] | None = None


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
        self._hashes = [accounts[name].hashed or _NOBODYS for name in sorted(accounts)] or [_NOBODYS]
        self._key = hashlib.blake2b("\n".join(sorted(accounts)).encode(), digest_size=32).digest()

    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        """One hash is checked in any case."""
        account = self._accounts.get(credential.name)
        if account is None or account.hashed is None:
            await self._argon2.fits(self._decoy(credential.name), credential.password)
            return _WRONG
        fits = await self._argon2.fits(await _current(account, account.hashed), credential.password)
        return account.principal if fits else _WRONG

    def _decoy(self, name: str) -> str:
        """The hash that is checked for a name without one, always the same for a name, and in every worker.

        The accounts' own hashes may cost more or less than those made here. Taken from among them, decoys cost what
        accounts cost, and time tells nobody who is there.
        """
        mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        return self._hashes[int.from_bytes(mark, "big") % len(self._hashes)]


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
