"""Access tokens as passwords: each request looks its token up, so that one that was revoked holds nowhere any more."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from pierhead.domain.access import Principal
from pierhead.domain.secrets import PREFIX, hash_of, is_access_token
from pierhead.ports.clock import Clock
from pierhead.ports.identity import Checked, Credential, LiveAccounts, NotMine, Wrong
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.store import Lookups

_WRONG: Final = Wrong("Name or password is wrong.")
_PRINCIPALS_MAX: Final = 10_000


class AccessTokenSource:
    """Implements ``ports.identity.IdentitySource`` for passwords that begin with ``ph_``."""

    def __init__(self, lookups: Lookups, accounts: LiveAccounts, clock: Clock) -> None:
        self._lookups = lookups
        self._accounts = accounts
        self._clock = clock
        # The same object for a token as long as its account stays the same: repositories remember plans by it.
        self._made: dict[str, tuple[Principal, Principal]] = {}

    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        """No Argon2: the secret has 256 bits. Raises Unavailable where the database cannot say whether it holds."""
        if not credential.password.startswith(PREFIX):
            return NotMine()
        if not is_access_token(credential.password):
            return _WRONG
        name, digest = credential.name, hash_of(credential.password)
        found = await self._holder(name, digest)
        if isinstance(found, Wrong):
            return found

        async def still() -> Principal | None:
            holder = await self._holder(name, digest)
            return None if isinstance(holder, Wrong) else holder

        return Checked(found, still=still)

    async def _holder(self, name: str, digest: bytes) -> Principal | Wrong:
        await self._accounts.fresh()
        row = await self._lookups.access_token(digest)
        if row is None or row.account != name or not hmac.compare_digest(row.hash, digest):
            return _WRONG
        if row.revoked is not None:
            return Wrong(f"This access token was revoked on {_day(row.revoked)}. Make another.")
        if row.expires is not None and row.expires <= self._clock.now():
            return Wrong(f"This access token expired on {_day(row.expires)}. Make another.")
        account = self._accounts.principal(name)
        if account is None or self._accounts.origin(name) != row.origin:
            return Wrong("The account of this access token is disabled or not there any more.")
        return self._principal(row, account)

    def _principal(self, row: AccessTokenRow, account: Principal) -> Principal:
        found = self._made.get(row.id)
        if found is not None and found[0] is account:
            return found[1]
        if len(self._made) >= _PRINCIPALS_MAX:
            self._made.clear()
        through: Mapping[str, object] = MappingProxyType({"how": "access token", "token": row.name, "id": row.id})
        made = Principal(account.name, account.rules, limit=row.limit, through=through)
        self._made[row.id] = (account, made)
        return made


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
