"""One question to an upstream, with everything that it takes: redirects, login, retries, and what a status means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import aiohttp
from msgspec import Struct, field
from yarl import URL

from pierhead.adapters.upstream.connections import Connections
from pierhead.adapters.upstream.login import TOKEN_ANSWER_BYTES_MAX, Credential, Login, TokenAnswer
from pierhead.adapters.upstream.quota import Quota, parse_retry_after
from pierhead.adapters.upstream.redirects import Places, followed, origin
from pierhead.adapters.upstream.troubles import Trouble, bad, slow, status_trouble, trouble_of
from pierhead.domain import limits
from pierhead.domain.refusals import shown
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.upstream import Absent, UpstreamSettings

T = TypeVar("T")

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SHORT_BYTES_MAX: Final = 64 * 1024
_OF_ANSWER: Final = 0.8


class Question(Struct, frozen=True):
    """``wanted`` is the scope of the token that it will need. ``passed`` are statuses that the asker judges itself."""

    method: str
    url: URL
    wanted: str
    headers: Mapping[str, str]
    blob: bool = False
    passed: frozenset[int] = field(default_factory=frozenset)


class Reply(Struct, frozen=True):
    """``at_home``: nobody but the upstream itself, at its own address, took part in it."""

    response: aiohttp.ClientResponse
    at_home: bool
    credential: Credential | None

    @property
    def status(self) -> int:
        return self.response.status


async def read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None if it has more than ``limit`` bytes. The connection is let go in any case."""
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await response.content.readany():
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        response.release()  # closes the connection where the body did not come to its end


class Exchange:
    """Everything of one upstream that requests share."""

    def __init__(self, home: URL, settings: UpstreamSettings, clock: Clock, entropy: Entropy, quota: Quota) -> None:
        """Raises ValueError for settings that cannot be used."""
        self._home = home
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._quota = quota
        places = Places(home, settings.allow_private, any_address=settings.any_address)
        self.connections = Connections(settings, places)
        self.login = Login(home, settings.username, settings.password, clock, self._ask_token_service)

    async def ask(self, question: Question, take: Callable[[Reply], Awaitable[T]]) -> T | Absent:
        """Asks, again where that may help, and gives what ``take`` makes of the answer, or the upstream's definite no.

        ``take`` gets a reply whose status is 200, 206 or one of ``passed``, and lets its connection go. Raises Trouble
        and UpstreamLimited. Bounded in tries, not in time.
        """

        async def once() -> T | Absent:
            return await self._taken(question, await self._authorized(question), take)

        return await self._repeated(once, limits.UPSTREAM_TRIES_MAX)

    async def ask_once(self, question: Question, take: Callable[[Reply], Awaitable[T]]) -> T | Absent:
        """As ``ask``, but without login and without another try."""

        async def once() -> T | Absent:
            return await self._taken(question, await self._walk(question, None), take)

        return await self._repeated(once, 1)

    async def pause(self, tries: int) -> None:
        """Before another try: a random time below a bound that doubles, so that askers do not come back in step."""
        await asyncio.sleep(self._entropy.fraction() * self._settings.retry_seconds * 2 ** (tries - 1))

    async def aclose(self) -> None:
        await self.login.aclose()
        await self.connections.aclose()

    async def _taken(self, question: Question, reply: Reply, take: Callable[[Reply], Awaitable[T]]) -> T | Absent:
        try:
            no = await self._judge(question, reply)
            return no if no is not None else await take(reply)
        except BaseException:
            reply.response.close()
            raise

    async def _repeated(self, once: Callable[[], Awaitable[T]], tries_max: int) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return await once()
            except Trouble as fault:
                trouble = fault
            except (aiohttp.ClientError, OSError, ValueError) as fault:
                trouble = trouble_of(fault, self._settings.stall_seconds)
            if tries >= min(trouble.tries, tries_max):
                raise trouble from None
            await self.pause(tries)

    async def _authorized(self, question: Question) -> Reply:
        credential = self.login.known(question.wanted)
        reply = await self._walk(question, credential)
        if reply.status != 401 or not reply.at_home:
            return reply
        lines = reply.response.headers.getall("WWW-Authenticate", [])
        await read_capped(reply.response, _SHORT_BYTES_MAX)
        credential = await self.login.answer(lines, question.wanted, credential)
        return await self._walk(question, credential)

    async def _walk(self, question: Question, credential: Credential | None) -> Reply:
        """Follows redirects by hand. Credentials stay behind at the first step off the upstream's own origin."""
        url, at_home = question.url, True
        headers = dict(question.headers)
        if credential is not None:
            headers["Authorization"] = credential.header
        for _ in range(limits.UPSTREAM_REDIRECTS_MAX + 1):
            response = await self.connections.send(question.method, url, headers)
            if response.status not in REDIRECTS:
                return Reply(response, at_home, credential)
            location = response.headers.get("Location")
            await read_capped(response, _SHORT_BYTES_MAX)
            url = followed(url, location)
            if origin(url) != origin(self._home):
                at_home = False
                headers.pop("Authorization", None)
        raise bad(f"it redirects more than {limits.UPSTREAM_REDIRECTS_MAX} times")

    async def _judge(self, question: Question, reply: Reply) -> Absent | None:
        """What a status means; None for those that ``take`` is for. Lets the connection go before it raises."""
        status, response = reply.status, reply.response
        if reply.at_home:
            self._quota.seen(response.headers)
        if status in (200, 206) or (status in question.passed and reply.at_home):
            self._quota.passed()
            return None
        body = await read_capped(response, _SHORT_BYTES_MAX) or b""
        if status == 429:
            raise self._quota.limited(response.headers, body, blob=question.blob)
        if status >= 500:
            raise status_trouble(status, response.reason, self._retry_after(response))
        if not reply.at_home:
            # A signed address may have expired between the two answers, so the upstream is asked for a new one.
            raise bad(f"where it redirects to answers {status}", tries=2)
        granted = reply.credential is not None and reply.credential.granted
        if status == 404:
            return Absent("it answers 404")
        if status == 401 and not granted:
            raise self.login.refused_login()
        if status == 401 and 'error="invalid_token"' in response.headers.get("WWW-Authenticate", ""):
            # RFC 6750, 3.1: that is said of the token and not of what was asked for, so it is no answer about it.
            raise bad("it does not accept the token that its own token service grants")
        if status in (401, 403) and granted:
            return Absent(f"it answers {status} to the token that it granted: private, or not there")
        if status == 403:
            raise bad("it does not let us read this (403)")
        raise bad(f"it answers {status}")

    def _retry_after(self, response: aiohttp.ClientResponse) -> int | None:
        return parse_retry_after(response.headers.get("Retry-After"), self._clock.now())

    async def _ask_token_service(self, url: URL, headers: Mapping[str, str]) -> TokenAnswer:
        async def once() -> TokenAnswer:
            response = await self.connections.send("GET", url, headers)
            body = await read_capped(response, TOKEN_ANSWER_BYTES_MAX)
            if response.status == 429:
                raise self._quota.limited(response.headers, body or b"", blob=False)
            if response.status in REDIRECTS:
                raise bad("its token service redirects")
            if response.status >= 500:
                trouble = status_trouble(response.status, response.reason, self._retry_after(response))
                trouble.tail = f"has a token service that {trouble.tail}"
                raise trouble
            if body is None:
                raise bad("its token service answers without end")
            return TokenAnswer(response.status, body)

        # A little less than whoever asks waits, so that it is said which of the two is silent.
        seconds = self._settings.answer_seconds * _OF_ANSWER
        try:
            async with asyncio.timeout(seconds):
                return await self._repeated(once, limits.UPSTREAM_TRIES_MAX)
        except TimeoutError:
            trouble = slow(seconds)
            trouble.tail = f"has a token service ({shown(url.host or '')}) that {trouble.tail}"
            raise trouble from None
