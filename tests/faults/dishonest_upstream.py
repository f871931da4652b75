"""A registry that can misbehave in every way we have heard of, on a free port of the loopback.

It holds real images and answers honestly, until ``play`` puts a behaviour of ``tests.faults.behaviours`` in front of
some of its addresses; that can be changed at any moment. It counts what it is asked, GET and HEAD apart.

    async with DishonestUpstream() as upstream:
        image = upstream.add_image("library/nginx", "1.27", layers=[b"..."])
        upstream.play(limited(retry_after=30), path="/manifests/")
        ...
        assert upstream.count("GET", "/manifests/") == 1
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

LOOPBACK = "127.0.0.1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Request:
    """``target`` is as it came, ``path`` and ``query`` its parts; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


@dataclass
class Answer:
    """What an honest registry would answer. ``Content-Length`` is added when it is sent."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def head(self, *, length: int | None = -1) -> bytes:
        """The status line and headers; ``length`` replaces the true length, None leaves it out."""
        headers = dict(self.headers)
        if length is not None:
            headers["Content-Length"] = str(len(self.body) if length < 0 else length)
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class Turn:
    """One request that is being answered: what was asked, the honest answer, and the way to send something else."""

    request: Request
    honest: Answer
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, answer: Answer) -> None:
        """Properly, and the connection stays open."""
        await self.send(answer.head() + (b"" if self.request.method == "HEAD" else answer.body))

    def reset(self) -> None:
        """Cuts the connection, now."""
        self.writer.transport.abort()


Behaviour = Callable[[Turn], Awaitable[None]]


@dataclass
class Script:
    """A behaviour for requests whose method and address fit, as often as ``times`` says (None: always)."""

    behaviour: Behaviour
    method: str | None
    path: re.Pattern[str]
    times: int | None
    played: int = 0

    def fits(self, request: Request) -> bool:
        open_ = self.times is None or self.played < self.times
        return open_ and self.method in (None, request.method) and self.path.search(request.target) is not None


@dataclass(frozen=True)
class Image:
    """What ``add_image`` made. ``layers`` by digest."""

    name: str
    digest: str
    manifest: bytes
    config: bytes
    layers: dict[str, bytes]


@dataclass
class Tokens:
    """A token service at ``realm`` (default: this server's own ``/token``). Changeable while it runs.

    ``readers`` names who may read what: None is everybody, including nobody in particular.
    """

    users: dict[str, str] = field(default_factory=dict)
    realm: str | None = None
    scheme: str = "Bearer"
    life: object = 300
    refuse_own: str | None = None
    """The ``error`` with which tokens that it granted itself are refused; "" for none."""
    private: frozenset[str] = frozenset()
    """Images for which the tokens that are granted are not good enough."""
    granted: dict[str, str] = field(default_factory=dict)
    """Tokens and their scopes."""

    def user_of(self, request: Request) -> str | None:
        """ "" without credentials, None with wrong ones."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            return ""
        name, _, password = base64.b64decode(text).decode().partition(":")
        return name if self.users.get(name) == password else None


class DishonestUpstream:
    """Starts with ``async with``; ``url`` and ``port`` are known from then on."""

    def __init__(self, *, tokens: Tokens | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.tokens = tokens
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.tag_lists: dict[str, list[str]] = {}
        self.referrers: dict[str, list[dict[str, object]]] | None = None
        self.extra_headers: dict[str, str] = {}
        self.page_size = 1000
        self.seen: list[Request] = []
        self.port = 0
        self._tls = tls
        self._scripts: list[Script] = []
        self._server: asyncio.Server | None = None
        self._turns: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; after a ``stop``, on the same port as before."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and cuts every connection, as a server does that is killed."""
        await self.stop_listening()
        for turn in list(self._turns):
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)

    async def stop_listening(self) -> None:
        """Takes no new connection; what is under way goes on."""
        if self._server is not None:
            self._server.close()
        self._server = None

    # --- what it holds -----------------------------------------------------------------------------------------

    def add_blob(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def add_manifest(self, name: str, reference: str, body: bytes, media_type: str = MANIFEST) -> str:
        """Under its digest, and under ``reference`` if that is a tag."""
        digest = digest_of(body)
        self.manifests[name, digest] = self.manifests[name, reference] = (media_type, body)
        if ":" not in reference and reference not in self.tag_lists.setdefault(name, []):
            self.tag_lists[name].append(reference)
        return digest

    def add_image(self, name: str, tag: str, layers: list[bytes]) -> Image:
        """An image for linux/amd64 of these layers."""
        diffs = [digest_of(layer) for layer in layers]
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}
        ).encode()
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": self.add_blob(config), "size": len(config)},
                "layers": [
                    {"mediaType": LAYER, "digest": self.add_blob(layer), "size": len(layer)} for layer in layers
                ],
            }
        ).encode()
        digest = self.add_manifest(name, tag, body)
        return Image(name, digest, body, config, {digest_of(layer): layer for layer in layers})

    # --- what it does ------------------------------------------------------------------------------------------

    def play(
        self, behaviour: Behaviour, path: str = "", *, method: str | None = None, times: int | None = None
    ) -> Script:
        """From now on, for targets in which the regular expression ``path`` is found. The newest script goes first."""
        script = Script(behaviour, method, re.compile(path), times)
        self._scripts.insert(0, script)
        return script

    def be_honest(self) -> None:
        """Forgets every script; requests that hang go on hanging."""
        self._scripts.clear()

    def count(self, method: str | None = None, path: str = "") -> int:
        """How many requests of this method came for targets in which ``path`` is found."""
        return sum(method in (None, one.method) and re.search(path, one.target) is not None for one in self.seen)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._turns.add(task)
        try:
            while request := await read_request(reader):
                self.seen.append(request)
                script = next((one for one in self._scripts if one.fits(request)), None)
                turn = Turn(request, self._honest(request), writer)
                if script is None:
                    await turn.answer(turn.honest)
                else:
                    script.played += 1
                    await script.behaviour(turn)
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            if task is not None:
                self._turns.discard(task)
            writer.transport.abort()

    # --- honest answers ----------------------------------------------------------------------------------------

    def _honest(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._token(request)
        answer = self._refused(request) or self._found(request)
        answer.headers |= self.extra_headers
        return answer

    def _found(self, request: Request) -> Answer:
        path = request.path
        if path == "/v2/":
            return Answer(200, {"Content-Type": "application/json"}, b"{}")
        if found := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
            held = self.manifests.get((found[1], found[2]))
            if held is None:
                return failure(404, "MANIFEST_UNKNOWN", "manifest unknown")
            media_type, body = held
            return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(body)}, body)
        if found := re.fullmatch(r"(?:/v2/.+/blobs|/cdn)/([^/]+)", path):
            return ranged(request, self.blobs.get(found[1]))
        if found := re.fullmatch(r"/v2/(.+)/tags/list", path):
            return self._tags(found[1], request)
        if (found := re.fullmatch(r"/v2/(.+)/referrers/([^/]+)", path)) and self.referrers is not None:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.referrers.get(found[2], [])}
            return Answer(200, {"Content-Type": INDEX}, json.dumps(index).encode())
        return failure(404, "NOT_FOUND", "nothing here")

    def _tags(self, name: str, request: Request) -> Answer:
        tags = self.tag_lists.get(name)
        if tags is None:
            return failure(404, "NAME_UNKNOWN", "repository name not known to registry")
        size = min(int(request.query.get("n", ["1000"])[0]), self.page_size)
        last = request.query.get("last", [""])[0]
        start = tags.index(last) + 1 if last in tags else 0
        page = tags[start : start + size]
        headers = {"Content-Type": "application/json"}
        if start + size < len(tags):
            headers["Link"] = f'</v2/{name}/tags/list?last={page[-1]}&n={size}>; rel="next"'
        return Answer(200, headers, json.dumps({"name": name, "tags": page}).encode())

    def _refused(self, request: Request) -> Answer | None:
        """The 401 that an honest registry would give; None if the request may pass."""
        tokens = self.tokens
        if tokens is None or request.path.startswith("/cdn/"):
            return None
        name = re.match(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/", request.path)
        scope = f"repository:{name[1]}:pull" if name else ""
        if tokens.scheme == "Basic":
            return None if tokens.user_of(request) else challenged('Basic realm="upstream"')
        challenge = f'Bearer realm="{tokens.realm or self.url + "/token"}",service="dishonest"'
        challenge += f',scope="{scope}"' if scope else ""
        granted = tokens.granted.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if granted is None:
            return challenged(challenge)
        if tokens.refuse_own is not None:
            return challenged(challenge + (f',error="{tokens.refuse_own}"' if tokens.refuse_own else ""))
        if scope not in granted or (name and name[1] in tokens.private):
            return challenged(challenge + ',error="insufficient_scope"')
        return None

    def _token(self, request: Request) -> Answer:
        tokens = self.tokens or Tokens()
        user = tokens.user_of(request)
        if user is None or (tokens.users and not user):
            return failure(401, "UNAUTHORIZED", "incorrect username or password")
        text = f"token-{len(tokens.granted)}-of-{user or 'nobody'}"
        tokens.granted[text] = " ".join(request.query.get("scope", [""]))
        said = {"token": text, "expires_in": tokens.life}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when it ended."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers)


def failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)


def challenged(challenge: str) -> Answer:
    return failure(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})


def ranged(request: Request, data: bytes | None) -> Answer:
    """A blob, or the part of it from ``Range: bytes=N-`` on."""
    if data is None:
        return failure(404, "BLOB_UNKNOWN", "blob unknown to registry")
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if asked is None:
        return Answer(200, headers, data)
    start = int(asked[1])
    if start >= len(data):
        return Answer(416, {**headers, "Content-Range": f"bytes */{len(data)}"})
    return Answer(206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:])
