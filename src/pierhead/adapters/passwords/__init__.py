"""Accounts with passwords: Argon2id hashes, checked in threads, at most two at once.

Parameters: OWASP Password Storage Cheat Sheet, second choice for Argon2id (19 MiB, two passes, one lane).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable, shown
from pierhead.ports.identity import Credential, NotMine, Wrong

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_PASSWORD_CHARACTERS_MAX: Final = 4_096
_AT_ONCE: Final = 2
_WRONG: Final = Wrong("Name or password is wrong.")


@dataclass(frozen=True, slots=True)
class PasswordAccount:
    """``hashed`` is an Argon2 hash in PHC form, None for an account that is disabled for the reason in ``disabled``.
    ``renewed`` is asked at each check, for a hash that others may change; None from it leaves ``hashed`` in force."""

    principal: Principal
    hashed: str | None = field(repr=False)
    disabled: str = ""
    renewed: Callable[[], Awaitable[str | None]] | None = None


def hash_password(password: str) -> str:
    """An Argon2id hash in PHC form; takes tens of milliseconds."""
    return _HASHER.hash(password)


class PasswordSource:
    """Implements ``ports.identity.IdentitySource`` for accounts that are all known."""

    def __init__(self, accounts: Mapping[str, PasswordAccount], decoy: str) -> None:
        """``decoy`` is a hash that no password fits, checked for names that are not there so that it takes as long."""
        self._accounts = accounts
        self._decoy = decoy
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        """One hash is checked in any case."""
        account = self._accounts.get(credential.name)
        hashed = self._decoy if account is None or account.hashed is None else await _current(account, account.hashed)
        async with self._turns:
            fits = await asyncio.to_thread(_fits, hashed, credential.password)
        if account is None or account.hashed is None or not fits:
            return Wrong(f"Name or password is wrong for {shown(credential.name)}.")
        return account.principal


async def _current(account: PasswordAccount, known: str) -> str:
    """A database that does not answer just now locks nobody out."""
    try:
        return (await account.renewed() if account.renewed is not None else None) or known
    except (TimeoutError, Unavailable):
        return known


def _fits(hashed: str, password: str) -> bool:
    if len(password) > _PASSWORD_CHARACTERS_MAX:
        return False
    try:
        return _HASHER.verify(hashed, password)
    except (Argon2Error, InvalidHashError, UnicodeError):
        return False
