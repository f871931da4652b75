"""How one upstream lets us in: by tokens of its token service, by Basic, or without anything.

Tokens are kept per (credentials, realm, service, scope), which is what says whose and what for, until 90 % of
their life is over, counted from when they came. Sources: distribution's token specification; RFC 6750; RFC 7617.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from yarl import URL

from pierhead.adapters.upstream.challenge import Challenge, choose, parse_challenges
from pierhead.adapters.upstream.redirects import realm_of
from pierhead.adapters.upstream.troubles import Trouble, bad
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import shown
from pierhead.ports.clock import Clock

TOKENS_MAX: Final = 4096
TOKEN_ANSWER_BYTES_MAX: Final = 256 * 1024
_TOKEN_TEXT: Final = re.compile(r"[!-~]{1,12288}")
_LIFE_SECONDS_DEFAULT: Final = 60.0
_LIFE_SECONDS_MAX: Final = 24 * 3600.0
_LIFE_USED: Final = 0.9
_REFUSED_SECONDS: Final = 30.0


class TokenAnswer(Struct, frozen=True):
    """What a token service said, its body capped."""

    status: int
    body: bytes


class Credential(Struct, frozen=True):
    """What goes into ``Authorization``. ``granted``: a token, so that its refusal is about what was asked for."""

    header: str
    granted: bool

    def __repr__(self) -> str:
        return f"Credential(granted={self.granted})"


class _Key(Struct, frozen=True):
    generation: int
    realm: str
    service: str
    scope: str


class _Token(Discreet, frozen=True):
    text: str
    until: float


AskTokenService = Callable[[URL, Mapping[str, str]], Awaitable[TokenAnswer]]


class Login:
    """Credentials and tokens of one upstream."""

    def __init__(self, home: URL, username: str, password: str, clock: Clock, ask: AskTokenService) -> None:
        """``ask`` gets an address with headers, raises Trouble or UpstreamLimited, and follows no redirect."""
        self._home = home
        self._clock = clock
        self._ask = ask
        self._generation = 0
        self._username = username
        self._password = password
        self._tokens: OrderedDict[_Key, _Token] = OrderedDict()
        self._scopes: OrderedDict[str, _Key] = OrderedDict()
        self._fetches: dict[_Key, asyncio.Task[_Token]] = {}
        self._basic = False
        self._refused_until = 0.0

    def renew(self, username: str, password: str) -> None:
        """New credentials; nothing that the old ones earned is used again."""
        self._generation += 1
        self._username, self._password = username, password
        self._tokens.clear()
        self._scopes.clear()
        self._basic = False
        self._refused_until = 0.0

    def known(self, wanted: str) -> Credential | None:
        """What to send at once for a scope, learned from an earlier answer; None to ask without anything first."""
        if self._basic and self._username:
            return Credential(self._basic_header(), granted=False)
        key = self._scopes.get(wanted)
        token = self._tokens.get(key) if key is not None else None
        if token is None or token.until <= self._clock.monotonic():
            return None
        return Credential(f"Bearer {token.text}", granted=True)

    async def answer(self, lines: Sequence[str], wanted: str, refused: Credential | None) -> Credential:
        """After a 401 with these ``WWW-Authenticate`` lines: what to send instead of ``refused``. Raises Trouble.

        Raises UpstreamLimited if the token service allows no more.
        """
        challenge = choose(parse_challenges(lines))
        if challenge is None:
            raise bad("it asks for a login (401) without saying how")
        if challenge.scheme == "basic":
            return self._answer_basic(refused)
        key = self._key(challenge, wanted)
        held = self._tokens.get(key)
        if held is not None and refused is not None and refused.header == f"Bearer {held.text}":
            del self._tokens[key]
        token = await self._token(key)
        if key.generation == self._generation:
            self._scopes[wanted] = key
            while len(self._scopes) > TOKENS_MAX:
                self._scopes.popitem(last=False)
        return Credential(f"Bearer {token.text}", granted=True)

    async def aclose(self) -> None:
        for task in list(self._fetches.values()):
            task.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    def refused_login(self) -> Trouble:
        """What to raise when the credentials themselves are not accepted."""
        if not self._username:
            reason = "it asks for a login, and the proxy has none"
            tail = "asks for a login, and this proxy has none: set `username_env` and `password_env`"
        else:
            reason = f"it refuses the login of {shown(self._username)}"
            tail = (
                f"refuses the login of `{shown(self._username)}`: name or password is wrong, or its account is locked"
            )
        return Trouble(tail, kind="bad_answer", reason=reason)

    def _answer_basic(self, refused: Credential | None) -> Credential:
        credential = Credential(self._basic_header(), granted=False)
        if not self._username or (refused is not None and refused.header == credential.header):
            self._basic = False
            raise self.refused_login()
        self._basic = True
        return credential

    def _key(self, challenge: Challenge, wanted: str) -> _Key:
        realm = challenge.get("realm")
        if not realm:
            raise bad("its challenge names no token service")
        address = realm_of(self._home, realm)
        return _Key(self._generation, str(address), challenge.get("service"), challenge.get("scope") or wanted)

    async def _token(self, key: _Key) -> _Token:
        """A token that still lives, or a new one; whoever asks for the same meanwhile waits for the same fetch."""
        held = self._tokens.get(key)
        if held is not None and held.until > self._clock.monotonic():
            return held
        if self._username and self._refused_until > self._clock.monotonic():
            raise self.refused_login()  # asking again and again with a wrong password locks accounts
        task = self._fetches.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key))
            self._fetches[key] = task
            task.add_done_callback(lambda done: self._fetched(key, done))
        return await asyncio.shield(task)

    def _fetched(self, key: _Key, task: asyncio.Task[_Token]) -> None:
        self._fetches.pop(key, None)
        if not task.cancelled():
            task.exception()  # read, so that a fetch whose askers all went away is not reported as forgotten

    async def _fetch(self, key: _Key) -> _Token:
        realm = URL(key.realm, encoded=True)
        query = [("service", key.service)] if key.service else []
        query += [("scope", scope) for scope in key.scope.split()]
        headers = {"Accept": "application/json"}
        if self._username:
            query.append(("account", self._username))
            headers["Authorization"] = self._basic_header()
        answer = await self._ask(realm.extend_query(query), headers)
        if answer.status == 401 and self._username and key.generation == self._generation:
            self._refused_until = self._clock.monotonic() + _REFUSED_SECONDS
        if answer.status in (401, 403):
            raise self.refused_login()
        if answer.status != 200:
            raise bad(f"its token service answers {answer.status}")
        token = self._read(answer.body)
        if key.generation == self._generation:
            self._tokens[key] = token
            while len(self._tokens) > TOKENS_MAX:
                self._tokens.popitem(last=False)
        return token

    def _read(self, body: bytes) -> _Token:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise bad("its token service answers something else than JSON")
        text = said.get("token") or said.get("access_token")
        if not isinstance(text, str) or _TOKEN_TEXT.fullmatch(text) is None:
            raise bad("its token service answers without a token")
        life = said.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and 0 < life < _LIFE_SECONDS_MAX else 0.0
        used = (seconds or _LIFE_SECONDS_DEFAULT) * _LIFE_USED
        return _Token(text, self._clock.monotonic() + used)

    def _basic_header(self) -> str:
        pair = f"{self._username}:{self._password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")
