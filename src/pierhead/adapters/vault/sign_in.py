"""How Pierhead itself signs in to Vault, and how long what it got holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.adapters.vault.exchange import Answer, Exchange
from pierhead.domain.discreet import Discreet
from pierhead.ports.clock import Clock
from pierhead.ports.secrets import SecretAway

Reader = Callable[[], str]
"""A secret of Pierhead's own, as it is now; reads a variable or a small file. Raises SecretAway."""

REFUSED_SECONDS: Final = 30.0
_RENEW_AT: Final = 2 / 3
_NOT_IN: Final = "Vault does not let Pierhead in"
_TOKEN: Final = re.compile(r"[!-~]{1,16384}")


class GivenToken(Struct, frozen=True):
    """A token that somebody else takes care of, such as an agent of Vault; renewed if it may be."""

    token: Reader


class AppRole(Struct, frozen=True):
    """``mount`` is where it is enabled: auth/``mount``."""

    role_id: Reader
    secret_id: Reader
    mount: str = "approle"


class Jwt(Struct, frozen=True):
    """JWT logins and those of Kubernetes: the same call at another mount."""

    role: str
    jwt: Reader
    mount: str = "jwt"


Way = GivenToken | AppRole | Jwt


class _Held(Discreet, frozen=True):
    """``renew_at`` and ``ends`` by the monotonic clock; ``life`` in seconds, 0 for a token without end."""

    text: str
    life: float
    renewable: bool
    renew_at: float
    ends: float


class SignIn:
    """Holds one token. Whoever needs one while it is being fetched waits for the same."""

    def __init__(self, exchange: Exchange, way: Way, clock: Clock) -> None:
        self._exchange = exchange
        self._way = way
        self._clock = clock
        self._held: _Held | None = None
        self._turn = asyncio.Lock()
        self._refused: tuple[tuple[str, ...], float, SecretAway] | None = None

    async def token(self, not_this: str = "") -> str:
        """One that holds; another than ``not_this``, which Vault has refused. Raises SecretAway."""
        async with self._turn:
            held, now = self._held, self._clock.monotonic()
            if held is not None and held.text != not_this:
                if now < held.renew_at:
                    return held.text
                if held.renewable and now < held.ends and await self._renew(held):
                    return held.text
            self._held = None
            self._held = await self._new()
            return self._held.text

    async def holds(self, token: str) -> bool:
        """Whether Vault still takes it, for who was refused with it."""
        return (await self._exchange.ask("GET", "auth/token/lookup-self", token=token)).status == 200

    async def give_back(self) -> None:
        """What Pierhead got for itself is worth nothing to anybody when it ends."""
        held, self._held = self._held, None
        if held is not None and not isinstance(self._way, GivenToken):
            try:
                await self._exchange.ask("POST", "auth/token/revoke-self", {}, token=held.text)
            except SecretAway:
                pass  # it ends by itself

    async def _renew(self, held: _Held) -> bool:
        """False if it is worth more to sign in anew: it may not be renewed, or only for a short while."""
        answer = await self._exchange.ask("POST", "auth/token/renew-self", {}, token=held.text)
        life = _seconds(answer.mapping("auth").get("lease_duration"))
        if answer.status != 200 or not life:
            return False
        now = self._clock.monotonic()
        if self._held is held:  # else it was given back meanwhile
            self._held = replace(held, renew_at=now + life * _RENEW_AT, ends=now + life)
        return isinstance(self._way, GivenToken) or life >= held.life / 2

    async def _new(self) -> _Held:
        texts = await asyncio.to_thread(self._texts)
        refused = self._refused
        if refused is not None and refused[0] == texts and self._clock.monotonic() < refused[1]:
            raise refused[2]  # asking again and again with what is wrong has Vault lock the role
        try:
            held = await self._by_login(texts) if not isinstance(self._way, GivenToken) else await self._given(texts[0])
        except _Refused as no:
            away = SecretAway(f"{self._exchange.name} {no.why}", _NOT_IN)
            self._refused = (texts, self._clock.monotonic() + REFUSED_SECONDS, away)
            raise away from None
        self._refused = None
        return held

    def _texts(self) -> tuple[str, ...]:
        match self._way:
            case GivenToken(token):
                return (token(),)
            case AppRole(role_id, secret_id, _):
                return role_id(), secret_id()
            case Jwt(_, jwt, _):
                return (jwt(),)

    async def _given(self, text: str) -> _Held:
        if _TOKEN.fullmatch(text) is None:
            raise _Refused("takes no token with blanks or control characters: look at `token_env` or `token_file`")
        answer = await self._exchange.ask("GET", "auth/token/lookup-self", token=text)
        if answer.status == 503:
            raise await unready(self._exchange, answer, "looking at its token")
        found = answer.mapping("data") if answer.status == 200 else {}
        return self._made(text, _seconds(found.get("ttl")), found.get("renewable") is True)

    async def _by_login(self, texts: tuple[str, ...]) -> _Held:
        way = self._way
        assert not isinstance(way, GivenToken)
        if isinstance(way, AppRole):
            body, who = (
                {"role_id": texts[0], "secret_id": texts[1]},
                "the AppRole: its role or secret ID is wrong or over",
            )
        else:
            body, who = (
                {"role": way.role, "jwt": texts[0]},
                f"the JWT for role {way.role}: one of them is wrong",
            )
        answer = await self._exchange.ask("POST", f"auth/{way.mount}/login", body)
        if answer.status in (400, 401, 403, 404):
            raise _Refused(f"does not accept, at auth/{way.mount}, {who} (status {answer.status})")
        if answer.status != 200:
            raise await unready(self._exchange, answer, f"the login at auth/{way.mount}")
        auth = answer.mapping("auth")
        text = auth.get("client_token")
        if not isinstance(text, str) or _TOKEN.fullmatch(text) is None:
            raise _Refused(f"gives no token at auth/{way.mount}")
        return self._made(text, _seconds(auth.get("lease_duration")), auth.get("renewable") is True)

    def _made(self, text: str, life: float, renewable: bool) -> _Held:
        now = self._clock.monotonic()
        if not life:
            return _Held(text, 0.0, False, float("inf"), float("inf"))
        return _Held(text, life, renewable, now + life * _RENEW_AT, now + life)


class _Refused(Exception):
    """Vault is there and says no; ``why`` goes on after its name."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


async def unready(exchange: Exchange, answer: Answer, at: str) -> SecretAway:
    """What an answer means that is neither yes nor no."""
    name = exchange.name
    if answer.status == 503:
        health = await exchange.ask("GET", "sys/health")
        if health.status == 501:
            return SecretAway(f"{name} is not initialised", "Vault is not initialised")
        if health.body.get("sealed") is True:
            return SecretAway(f"{name} is sealed: somebody has to unseal it", "Vault is sealed")
        if health.body.get("standby") is True:
            return SecretAway(f"{name} is a standby that finds no active node", "Vault has no active node")
    if answer.status == 429:
        return SecretAway(f"{name} is asked too often (429)", "Vault is asked too often")
    return SecretAway(f"{name} fails at {at} (status {answer.status})", "Vault does not answer as it should")


def _seconds(found: object) -> float:
    """0 for what is no number of seconds above it."""
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else 0.0
