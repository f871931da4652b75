"""A command line asks to be logged in, somebody approves it in a browser, and it gets an access token of theirs."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pierhead.commits import device_login as commits
from pierhead.commits.account import By, NewAccessToken
from pierhead.domain import limits
from pierhead.domain.discreet import Discreet
from pierhead.domain.login_codes import CHANCE_BYTES, login_code, mark_of, understood
from pierhead.domain.refusals import CodeUnknown
from pierhead.domain.refusals_accounts import AccountUnknown, BodyInvalid
from pierhead.domain.secrets import RANDOM_BYTES, access_token, hash_of
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.device_logins import DeviceLogin, LoginState
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Desk, Origin

_MACHINE_CHARACTERS_MAX: Final = 64
_INTERVAL: Final = limits.DEVICE_POLL_SECONDS * 1_000_000


class Asked(Discreet, frozen=True):
    """``secret`` is for the command line, which asks with it again; ``code`` for the person, who compares it."""

    secret: str
    code: str
    expires_in: int
    interval: int


class Answered(Discreet, frozen=True):
    """``state`` is ``waiting``, ``refused``, ``ended`` or ``approved``; only then the others are set."""

    state: str
    account: str = ""
    secret: str = ""
    row: AccessTokenRow | None = None


async def ask_for_login(store: Store, clock: Clock, entropy: Entropy, machine: str, address: str, agent: str) -> Asked:
    """Raises BodyInvalid, TooManyLogins."""
    if not 1 <= len(machine) <= _MACHINE_CHARACTERS_MAX or not machine.isprintable():
        raise BodyInvalid("machine", f"has to be 1 to {_MACHINE_CHARACTERS_MAX} characters on one line")
    secret = urlsafe_b64encode(entropy.token(RANDOM_BYTES)).decode().rstrip("=")
    code = login_code(entropy.token(CHANCE_BYTES))
    now = clock.now()
    ends = now + limits.DEVICE_LOGIN_SECONDS * 1_000_000
    row = DeviceLogin(mark_of(secret), mark_of(code), machine, address, agent, now, ends, 0)
    await store.write(lambda tx: commits.ask_for_login(tx, row), durable=False)
    return Asked(secret, code, limits.DEVICE_LOGIN_SECONDS, limits.DEVICE_POLL_SECONDS)


async def find_login(store: Store, typed: str) -> tuple[str, DeviceLogin]:
    """What waits under a code, and the code as it was given. Raises CodeUnknown."""
    code = understood(typed)
    if code is None:
        raise CodeUnknown
    return code, await store.write(lambda tx: commits.waiting(tx, mark_of(code)), durable=False)


async def decide_login(
    store: Store, typed: str, approve: bool, account: str, circumstances: Mapping[str, object]
) -> None:
    """Raises CodeUnknown."""
    code = understood(typed)
    if code is None:
        raise CodeUnknown
    await store.write(lambda tx: commits.decide_login(tx, mark_of(code), approve, account, circumstances))


async def take_login(
    store: Store, desk: Desk, entropy: Entropy, secret: str, circumstances: Mapping[str, object]
) -> Answered:
    """What the command line gets for its secret; the token is given once.

    Raises TooManyLogins for one that asks too often, AccountUnknown, TooManyAccessTokens.
    """
    login = mark_of(secret)
    row = await store.write(lambda tx: commits.look_after(tx, login, _INTERVAL), durable=False)
    if row is None:
        return Answered("ended")
    if row.state is not LoginState.APPROVED:
        return Answered("refused" if row.state is LoginState.REFUSED else "waiting")
    await desk.directory.fresh()
    holder = desk.directory.account(row.account)
    if holder is None or holder.disabled:
        raise AccountUnknown(row.account)
    token = access_token(entropy.token(RANDOM_BYTES))
    when = datetime.fromtimestamp(row.created / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    new = NewAccessToken(
        entropy.token(8).hex(),
        holder.name,
        holder.origin.value,
        holder.origin is Origin.REST,
        f"pierhead login, {row.machine}, {when}",
        hash_of(token),
        None,
        limits.LOGIN_TOKEN_SECONDS,
    )
    by = By(holder.name, circumstances)
    made = await store.write(lambda tx: commits.hand_over(tx, login, new, by))
    return Answered("approved", holder.name, token, made)
