"""Access tokens are made and revoked. The caller has looked whether that is allowed."""

from __future__ import annotations

from pierhead.commits import account as commits
from pierhead.commits.account import By, NewAccessToken
from pierhead.domain import limits
from pierhead.domain.access import Rules
from pierhead.domain.refusals_accounts import AccountUnknown, BodyInvalid
from pierhead.domain.secrets import RANDOM_BYTES, access_token, hash_of
from pierhead.ports.clock import Entropy
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Desk, Origin

_ID_BYTES = 8


async def make_access_token(
    store: Store,
    desk: Desk,
    entropy: Entropy,
    account: str,
    name: str,
    limit: Rules | None,
    seconds: int | None,
    by: By,
) -> tuple[AccessTokenRow, str]:
    """What is kept of it, and the secret, which is not. ``limit`` narrows what the account may, ``seconds`` is how long
    it holds; None for each is as much as the account, and for ever.

    Raises AccountUnknown, BodyInvalid, NameTaken, TooManyAccessTokens.
    """
    if not 1 <= len(name) <= limits.ACCESS_TOKEN_NAME_CHARACTERS_MAX or not name.isprintable() or name != name.strip():
        most = limits.ACCESS_TOKEN_NAME_CHARACTERS_MAX
        raise BodyInvalid("name", f"has to be 1 to {most} characters on one line, without blanks at its ends")
    if seconds is not None and not 1 <= seconds <= limits.ACCESS_TOKEN_SECONDS_MAX:
        raise BodyInvalid("expires_in", f"has to be 1 to {limits.ACCESS_TOKEN_SECONDS_MAX} seconds, or null for never")
    await desk.directory.fresh()
    holder = desk.directory.account(account)
    if holder is None:
        raise AccountUnknown(account)
    secret = access_token(entropy.token(RANDOM_BYTES))
    new = NewAccessToken(
        entropy.token(_ID_BYTES).hex(),
        account,
        holder.origin.value,
        holder.origin is Origin.REST,
        name,
        hash_of(secret),
        limit,
        seconds,
    )
    return await store.write(lambda tx: commits.add_access_token(tx, new, by)), secret


async def revoke_access_token(store: Store, account: str, token: str, by: By) -> None:
    """From the next request on, in every process. Raises AccessTokenUnknown, also for one of another account."""
    await store.write(lambda tx: commits.revoke_access_token(tx, account, token, by))
