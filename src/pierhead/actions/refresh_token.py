"""Refresh tokens: what a client keeps in place of the password, if the house allows it.

Only somebody who signed in with the account's own password gets one: it would outlive what it was got with, such as an
access token that is taken back.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.access import ANONYMOUS, Principal
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import ACCOUNT_NAME, LiveAccounts
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import RefreshRow

_SECOND: Final = 1_000_000
_USED_EVERY: Final = 3600 * _SECOND
_PREFIX: Final = "phr_"
"""By which tools that look for secrets know one."""
_TOKEN: Final = re.compile(r"phr_[A-Za-z0-9_-]{43}")
_CLIENT_CHARACTERS_MAX: Final = 64


class Keeping(Struct, frozen=True):
    """Where refresh tokens are kept, and for how long. Without ``on`` none is made and none holds."""

    store: Store
    accounts: LiveAccounts
    clock: Clock
    entropy: Entropy
    on: bool
    seconds: int


async def make_refresh_token(keeping: Keeping, who: Principal, client: str) -> str | None:
    """A new token, durable before it is told; None where nobody gets one. ``client`` is what the client calls itself.

    Raises Unavailable.
    """
    of_ours = ACCOUNT_NAME.fullmatch(who.name) is not None and who.name != ANONYMOUS
    origin = keeping.accounts.origin(who.name)
    by_password = who.limit is None and who.through.get("how", "password") == "password"
    if not keeping.on or not of_ours or origin is None or not by_password:
        return None
    token = _PREFIX + base64.urlsafe_b64encode(keeping.entropy.token(32)).decode().rstrip("=")
    now = keeping.clock.now()
    shown = "".join(one for one in client if " " <= one <= "~")[:_CLIENT_CHARACTERS_MAX]
    row = RefreshRow(0, who.name, origin, shown, now, now, now + keeping.seconds * _SECOND)
    most = limits.REFRESH_TOKENS_PER_ACCOUNT_MAX
    await keeping.store.write(lambda tx: tx.refreshes.add(_mark(token), row, most))
    return token


async def redeem_refresh_token(keeping: Keeping, token: str) -> Principal | None:
    """The account as it is now; None for what is no token, one that has ended, and one whose account is gone, or is
    another one of the same name.

    Raises TimeoutError, Unavailable.
    """
    if not keeping.on or _TOKEN.fullmatch(token) is None:
        return None
    row = await keeping.store.report(lambda reports: reports.refresh(_mark(token)))
    now = keeping.clock.now()
    if row is None or row.until <= now:
        return None
    await keeping.accounts.fresh()
    if keeping.accounts.origin(row.account) != row.origin:
        return None
    if now - row.used > _USED_EVERY:
        with contextlib.suppress(Unavailable):  # when it was last used is for people to look at, and no more
            await keeping.store.write(lambda tx: tx.refreshes.touch(row.id, now), durable=False)
    return keeping.accounts.principal(row.account)


def _mark(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
