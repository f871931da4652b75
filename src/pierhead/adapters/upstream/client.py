"""The client of another registry: what ``ports.upstream`` asks for, over HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from yarl import URL

from pierhead.adapters.upstream import answers
from pierhead.adapters.upstream.breaker import Breaker
from pierhead.adapters.upstream.exchange import Exchange, Question, Reply, read_capped
from pierhead.adapters.upstream.quota import Quota
from pierhead.adapters.upstream.stream import Stream
from pierhead.adapters.upstream.troubles import Trouble, bad, slow
from pierhead.adapters.upstream.turnstile import Turn, Turnstile
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, Tag
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.upstream import Absent, BlobStream, UpstreamManifest, UpstreamSettings, UpstreamState

T = TypeVar("T")

DOCKER_HUB_HOSTS: Final = frozenset({"registry-1.docker.io", "index.docker.io", "registry.docker.io", "docker.io"})
_ACCEPT: Final = {"Accept": ", ".join(answers.MANIFEST_TYPES)}
_PAGE: Final = limits.PAGE_ITEMS_MAX
_NO_REFERRERS: Final = frozenset({400, 405, 501})
_PROBE_BYTES_MAX: Final = 64 * 1024


def parse_url(text: str) -> URL:
    """The address of an upstream, without a slash at the end. Raises ValueError with what is wrong."""
    url = URL(text.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"`{text}` is no address of a registry: write http:// or https://, and a host")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("the address of an upstream holds no name or password: they come from the environment")
    if url.raw_query_string or url.raw_fragment:
        raise ValueError(f"`{text}` is no address of a registry: nothing stands behind its path")
    if url.raw_path.endswith("/v2"):
        raise ValueError(f"`{text}` ends with /v2, which is added by itself: leave it out")
    return url


class RegistryUpstream:
    """See ``ports.upstream.Upstream``. Belongs to one event loop; connects when it is first asked something."""

    def __init__(self, settings: UpstreamSettings, clock: Clock, entropy: Entropy) -> None:
        """Raises ValueError for an address, an entry of ``allow_private`` or a ``ca`` that cannot be used."""
        self._settings = settings
        self._clock = clock
        url = parse_url(settings.url)
        # A path is a folder of images (https://ghcr.io/acme), so it stands behind /v2/ and in the scopes of tokens.
        self._folder = url.raw_path.lstrip("/")
        self._home = url.origin()
        host = self._home.host or ""
        port = self._home.explicit_port
        bracketed = f"[{host}]" if ":" in host else host
        self._host = bracketed if port is None else f"{bracketed}:{port}"
        self._name = "Docker Hub" if host.lower() in DOCKER_HUB_HOSTS else self._host
        self._quota = Quota(self._name, clock, settings.limited_seconds)
        self._breaker = Breaker(
            self._name,
            clock,
            entropy,
            failures_to_open=settings.failures_to_open,
            seconds=settings.probe_seconds,
            seconds_max=settings.probe_seconds_max,
            awaited=settings.probe_awaited_seconds,
        )
        self._exchange = Exchange(self._home, settings, clock, entropy, self._quota)
        # Two queues, so that blobs, which take long, never keep a question about a tag waiting.
        self._questions = Turnstile(settings.fetches_at_once)
        self._blobs = Turnstile(settings.fetches_at_once)
        self._failures = self._bad_answers = 0
        self._last_answer_at: int | None = None
        self._failed_at: int | None = None
        self._last_reason = ""

    @property
    def name(self) -> str:
        return self._name

    @property
    def host(self) -> str:
        return self._host

    async def head(self, image: ImageName, reference: Reference) -> UpstreamManifest | Absent:
        async def take(reply: Reply) -> UpstreamManifest | None:
            return answers.head_of_manifest(reply, reference)

        question = self._question("HEAD", image, f"manifests/{reference}", _ACCEPT, passed=frozenset({405, 501}))
        found = await self._small(question, take)
        return found if found is not None else await self.manifest(image, reference)

    async def manifest(self, image: ImageName, reference: Reference) -> UpstreamManifest | Absent:
        async def take(reply: Reply) -> UpstreamManifest:
            return await answers.whole_manifest(reply, reference)

        return await self._small(self._question("GET", image, f"manifests/{reference}", _ACCEPT), take)

    async def tags(self, image: ImageName) -> tuple[Tag, ...] | Absent:
        found: dict[Tag, None] = {}
        room = limits.TAGS_LIST_BYTES_MAX

        async def take(reply: Reply) -> URL | None:
            nonlocal room
            page, size = await answers.json_object(reply, room, "a list of tags")
            room -= size
            found.update(dict.fromkeys(answers.tags_in(page)))
            return answers.next_page(reply.response.headers, reply.response.url, self._home)

        first = self._question("GET", image, f"tags/list?n={_PAGE}", {"Accept": "application/json"})
        no = await self._pages(first, take, "a list of tags")
        return no if no is not None else tuple(found)

    async def referrers(self, image: ImageName, digest: Digest, artifact_type: str | None) -> bytes | Absent:
        index: dict[str, object] = {}
        manifests: list[object] = []
        room = limits.MANIFEST_BYTES_MAX

        async def take(reply: Reply) -> URL | None:
            nonlocal room
            if reply.status in _NO_REFERRERS:
                await read_capped(reply.response, _PROBE_BYTES_MAX)
                return None
            page, size = await answers.json_object(reply, room, "an index of referrers")
            room -= size
            listed = page.get("manifests")
            if not isinstance(listed, list):
                raise bad("no `manifests` where an index of referrers should be")
            index.update(page)
            manifests.extend(listed)
            return answers.next_page(reply.response.headers, reply.response.url, self._home)

        question = self._question(
            "GET", image, f"referrers/{digest}", {"Accept": answers.OCI_INDEX}, passed=_NO_REFERRERS
        )
        if artifact_type is not None:
            question = _elsewhere(question, question.url.extend_query({"artifactType": artifact_type}))
        no = await self._pages(question, take, "an index of referrers")
        if no is not None:
            return no
        return (
            json.dumps({**index, "manifests": manifests}).encode() if index else Absent("it has no list of referrers")
        )

    async def blob(self, image: ImageName, digest: Digest) -> BlobStream | Absent:
        def question(offset: int) -> Question:
            headers = {"Accept": "*/*"} | ({"Range": f"bytes={offset}-"} if offset else {})
            return self._question("GET", image, f"blobs/{digest}", headers, blob=True)

        async def begin(reply: Reply) -> tuple[Reply, bytes]:
            answers.check_body(reply.response)
            # A head that nothing follows is no answer yet: waited for, and asked again, like one that does not come.
            return reply, await reply.response.content.readany()

        async def take(reply: Reply) -> Reply:
            answers.check_body(reply.response)
            return reply

        async def reopen(offset: int, resumptions: int) -> Reply:
            await self._exchange.pause(resumptions)
            reply = await self._in_time(self._exchange.ask(question(offset), take))
            if isinstance(reply, Absent):
                raise bad("what it had begun to send is gone")
            return reply

        await self._enter(self._blobs, blob=True)
        turn = Turn(self._blobs)
        try:
            found = await self._accounted(self._exchange.ask(question(0), begin))
        except BaseException:
            turn.leave()
            raise
        if isinstance(found, Absent):
            turn.leave()
            return found
        reply, first = found
        if reply.status != 200:
            reply.response.close()
            turn.leave()
            raise self._failed(bad(f"it answers {reply.status}, though all was asked for"))

        def ended(trouble: Trouble | None) -> None:
            turn.leave()
            if trouble is not None:
                self._failed(trouble)

        return Stream(reply, first, reopen, self._settings, self._name, turn.leave, ended)

    def state(self) -> UpstreamState:
        return UpstreamState(
            circuit=self._breaker.circuit,
            reason=self._breaker.reason if self._breaker.since is not None else self._last_reason,
            since=self._breaker.since,
            next_probe_at=self._breaker.next_probe_at,
            limited_until=self._quota.limited_until,
            rate_limit=self._quota.rate_limit,
            last_answer_at=self._last_answer_at,
            requests=self._exchange.connections.requests,
            failures=self._failures,
            bad_answers=self._bad_answers,
            fetching=self._questions.inside + self._blobs.inside,
            waiting=self._questions.waiting + self._blobs.waiting,
            failed_at=self._failed_at,
        )

    async def probe(self) -> bool:
        async def take(reply: Reply) -> None:
            answers.check_body(reply.response)
            await read_capped(reply.response, _PROBE_BYTES_MAX)

        self._breaker.begin_probe()
        address = self._home.joinpath("v2/", encoded=True)
        question = Question("GET", address, "", {}, passed=frozenset({401, 403, 404}))
        try:
            await self._in_time(self._exchange.ask_once(question, take))
        except UpstreamLimited:
            pass  # it answers, and says when it can be asked again
        except Trouble as trouble:
            self._failed(trouble, opens=True)
            return False
        except BaseException:
            self._breaker.abandoned()
            raise
        self._answered()
        return True

    def renew(self, username: str, password: str) -> None:
        self._exchange.login.renew(username, password)
        self._quota.forget()
        self._breaker.forget()
        self._last_reason, self._failed_at = "", None

    async def aclose(self) -> None:
        await self._exchange.aclose()

    def _question(
        self,
        method: str,
        image: ImageName,
        rest: str,
        headers: dict[str, str],
        *,
        blob: bool = False,
        passed: frozenset[int] = frozenset(),
    ) -> Question:
        # The path is built of parsed names only, so there is nothing in it to encode.
        name = f"{self._folder}/{image}" if self._folder else image
        url = URL(f"{self._home}/v2/{name}/{rest}", encoded=True)
        return Question(method, url, f"repository:{name}:pull", headers, blob=blob, passed=passed)

    async def _pages(self, first: Question, take: Callable[[Reply], Awaitable[URL | None]], what: str) -> Absent | None:
        """Asks for one page after the other; ``take`` keeps what is in it and gives the next address."""
        question, seen = first, {first.url}
        try:
            async with asyncio.timeout(self._settings.list_seconds):
                for _ in range(limits.TAGS_LIST_PAGES_MAX):
                    following = await self._small(question, take)
                    if following is None or isinstance(following, Absent):
                        return following
                    if following in seen:
                        break
                    seen.add(following)
                    question = _elsewhere(question, following)
        except TimeoutError:
            raise self._failed(slow(self._settings.list_seconds)) from None
        raise self._failed(bad(f"{what} without end"))

    async def _small(self, question: Question, take: Callable[[Reply], Awaitable[T]]) -> T | Absent:
        await self._enter(self._questions, blob=False)
        try:
            return await self._accounted(self._exchange.ask(question, take))
        finally:
            self._questions.leave()

    async def _enter(self, queue: Turnstile, *, blob: bool) -> None:
        """Waits for a turn. Raises at once what makes waiting pointless: an open circuit, a limit."""
        self._breaker.check()
        self._quota.check(blob=blob)
        try:
            await queue.enter(self._settings.queue_seconds)
        except Trouble as trouble:
            raise trouble.unavailable(self._name) from None
        try:
            self._quota.check(blob=blob)
            self._breaker.enter()
        except BaseException:
            queue.leave()
            raise

    async def _in_time(self, asking: Awaitable[T]) -> T:
        seconds = self._settings.answer_seconds
        try:
            async with asyncio.timeout(seconds):
                return await asking
        except TimeoutError:
            raise slow(seconds) from None

    async def _accounted(self, asking: Awaitable[T]) -> T:
        """In time, and with what it says about the upstream's health."""
        try:
            result = await self._in_time(asking)
        except Trouble as trouble:
            raise self._failed(trouble) from None
        except UpstreamLimited:
            self._answered()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._answered()
        return result

    def _answered(self) -> None:
        self._last_answer_at = self._clock.now()
        self._breaker.succeeded()

    def _failed(self, trouble: Trouble, *, opens: bool = False) -> Unavailable:
        self._last_reason, self._failed_at = trouble.reason, self._clock.now()
        if trouble.kind == "bad_answer" and not opens:
            self._bad_answers += 1
            self._breaker.abandoned()
        else:
            self._failures += 1
            if self._breaker.failed(trouble.reason):
                self._questions.dismiss(self._breaker.refusal)
                self._blobs.dismiss(self._breaker.refusal)
        return trouble.unavailable(self._name)


def _elsewhere(question: Question, url: URL) -> Question:
    return Question(question.method, url, question.wanted, question.headers, passed=question.passed)
