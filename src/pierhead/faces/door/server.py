"""The door: ports that take HTTP/1.1 requests, hand them to a face as values, and send what it answers.

This file and its neighbours ``connection``, ``sending``, ``heads`` and ``bounds`` are the only ones that know the
HTTP server (aiohttp's low-level one, best on uvloop). Faces use what is imported here from ``ask``.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from logging import Logger, getLogger
from time import monotonic
from typing import Any, Final, cast

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.http import RawRequestMessage

from pierhead.faces.door import heads
from pierhead.faces.door.ask import (
    Answer,
    AnyAnswer,
    Ask,
    BrokenOff,
    Fields,
    FileSlice,
    Gone,
    Handler,
    Stream,
    TooLarge,
    is_broken,
)
from pierhead.faces.door.bounds import Room, Settings
from pierhead.faces.door.connection import Connection
from pierhead.faces.door.sending import Lost, Sender
from pierhead.faces.door.shared import CLOSE, KEEP, OnAnswer, Shared, address

__all__ = ["ASK", "Answer", "Ask", "FileSlice", "Gone", "Port", "Room", "Settings", "Stream", "TooLarge", "tls_context"]

# Where a page finds the Ask of its request: ``request[ASK]``.
ASK: Final = web.RequestKey("ask", Ask)

# RFC 9110 section 7.2: a host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?\Z")
_METHODS: Final = frozenset(heads.METHODS)


class _Door(web.Server):
    """Makes the connections of one port and serves their requests."""

    def __init__(
        self,
        handler: Handler,
        shared: Shared,
        loop: asyncio.AbstractEventLoop,
        pages: web.Server | None,
        is_page: Callable[[str], bool] | None,
    ) -> None:
        super().__init__(self.serve, loop=loop)
        self._event_loop = loop
        self._handler = handler
        self._shared = shared
        self._pages = pages
        self.is_page: Callable[[str], bool] | None = None
        if pages is not None and is_page is not None:
            lean, rich, chosen = self.request_factory, pages.request_factory, is_page
            self.is_page = chosen
            self.request_factory = lambda message, *rest: (rich if chosen(message.path) else lean)(message, *rest)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self, self._shared, self._event_loop)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that the server made an object of; returns what it needs to know for the next."""
        conn = cast(Connection, request.protocol)
        content = request.content
        minor = request.version[1]
        ask, refused = self._asked(conn, request.method, request.raw_path, minor, request.headers, content)
        if refused is None and request.__class__ is not web.BaseRequest:
            return await self._page(conn, cast(web.Request, request), ask)
        return KEEP if await self._served(conn, ask, refused, content, minor, request.keep_alive) else CLOSE

    async def alone(self, conn: Connection, message: RawRequestMessage) -> bool:
        """Answer one request without a body; returns whether the connection is kept."""
        minor = message.version[1]
        ask, refused = self._asked(conn, message.method, message.path, minor, message.headers, EMPTY_PAYLOAD)
        return await self._served(conn, ask, refused, EMPTY_PAYLOAD, minor, not message.should_close)

    def _asked(
        self, conn: Connection, method: str, raw: str, minor: int, fields: Fields, content: Any
    ) -> tuple[Ask, Answer | None]:
        """The request as a value, and what the door itself has against it. ``minor`` is of the HTTP/1.x version."""
        length: int | None = 0
        expects = None
        if content is not EMPTY_PAYLOAD:
            announced = fields.get("Content-Length")
            length = None if announced is None else int(announced)
            # A client of HTTP/1.0 knows no interim answers (RFC 9110 section 10.1.1).
            expects = fields.get("Expect") if minor else None
        refused = None
        if method not in _METHODS:
            refused = heads.BAD_METHOD
        elif raw[0] != "/" or "#" in raw:
            refused = heads.BAD_TARGET
        elif expects is not None and expects.lower() != "100-continue":
            refused = heads.BAD_EXPECT
        elif (host := fields.get("Host")) != conn.host:
            if host is not None and _HOST.match(host) is None:
                refused = heads.BAD_HOST
            else:
                conn.host = host
        target, _, query = raw.partition("?")
        if query and query.count("&") >= self._shared.settings.parameters:
            refused = heads.LONG_TARGET
        return Ask(method, target, query, length, conn, fields, content, expects is not None, monotonic()), refused

    async def _served(
        self, conn: Connection, ask: Ask, refused: Answer | None, content: Any, minor: int, kept: bool
    ) -> bool:
        """Answer for the registry; returns whether the connection is kept."""
        conn.begin(content, chunked=ask.length is None)
        sender = Sender(conn, head_only=ask.method == "HEAD", old=minor == 0, ends=not kept)
        status = 0
        try:
            answer: AnyAnswer
            if refused is not None:
                answer = refused
            else:
                try:
                    answer = await self._handler(ask)
                except Exception as error:
                    answer = self._instead(ask, error)
            if self._shared.draining or (content is not EMPTY_PAYLOAD and not content.is_eof()):
                sender.ends = True
            status = await self._send(conn, sender, answer)
        finally:
            now = monotonic()
            conn.end(now)
            self._shared.report(ask, status, sender.sent, now - ask.received)
        if sender.ends and content is not EMPTY_PAYLOAD and not content.is_eof():
            await conn.parted()
        return not (sender.ends or self._shared.draining)

    def _instead(self, ask: Ask, error: Exception) -> Answer:
        """The answer when a handler raised."""
        if isinstance(error, Gone):
            return heads.BODY_BROKEN
        if isinstance(error, TooLarge):
            return heads.BODY_LARGE
        if isinstance(error, TimeoutError) and ask.stalled():
            return heads.BODY_SLOW
        self._shared.failed("A handler failed, the client got 500", error)
        return heads.BROKEN

    async def _send(self, conn: Connection, sender: Sender, answer: AnyAnswer) -> int:
        """Send it; returns the status that went out, 0 when the client was gone before."""
        try:
            if isinstance(answer, Answer):
                sender.answer(answer)
                if conn.writing_paused:
                    await sender.drained()
            elif isinstance(answer, FileSlice):
                await sender.file(answer)
            else:
                await sender.stream(answer)
            return answer.status
        except (Lost, BrokenOff):
            sender.ends = True
            conn.cut()
            return answer.status if sender.started else 0
        except Exception as error:
            if isinstance(answer, FileSlice) and answer.broken is not None and is_broken(error):
                answer.broken(answer.what)
            if sender.started:
                sender.ends = True
                self._shared.failed("An answer broke off, the connection was cut", error)
                conn.cut()
                return answer.status
            # The disk, a file that was cut, too many open files: another moment, or another replica, may well have it.
            instead = heads.UNREADABLE if isinstance(error, OSError | EOFError) else heads.BROKEN
            self._shared.failed(f"An answer failed, the client got {instead.status}", error)
        try:
            sender.answer(instead)
        except Lost:
            conn.cut()
        return instead.status

    async def _page(self, conn: Connection, request: web.Request, ask: Ask) -> web.StreamResponse:
        """Let the mounted application answer; the connection reports it when it is out."""
        conn.begin(request.content, chunked=ask.length is None, page=ask, writer=request.writer)
        request[ASK] = ask
        response: web.StreamResponse
        try:
            assert self._pages is not None
            response = await self._pages.request_handler(request)
        except web.HTTPException as answer:
            answer.headers["Server"] = "Pierhead"
            if self._shared.draining or not request.content.is_eof():
                answer.force_close()
            raise
        except TimeoutError as error:
            response = self._in_page(heads.BODY_SLOW if ask.stalled() else heads.BROKEN)
            if not ask.stalled():
                self._shared.failed("A page failed, the client got 500", error)
        except ConnectionError:
            now = monotonic()
            conn.end(now)
            self._shared.report(ask, 0, 0, now - ask.received)
            raise
        except Exception as error:
            self._shared.failed("A page failed, the client got 500", error)
            response = self._in_page(heads.BROKEN)
        except BaseException:
            conn.end(monotonic())
            raise
        if not response.prepared:
            response.headers["Server"] = "Pierhead"
            if self._shared.draining or not request.content.is_eof():
                response.force_close()
        return response

    def _in_page(self, answer: Answer) -> web.Response:
        return web.Response(status=answer.status, body=bytes(answer.body), content_type="application/json")


class Port:
    """One listener and its connections.

    ``label`` is what requests carry as ``port``. Either ``host`` and ``port`` (0 takes a free one) or a bound
    ``sock``. ``pages`` is the low-level server of a mounted aiohttp application (``AppRunner.server`` after
    ``setup()``; the same one may serve several ports) and gets the requests whose raw target ``is_page`` accepts.
    ``on_answer(ask, status, bytes of the body, seconds)`` is called once per request, also for refusals of the door;
    a status of 0 says that the client left before an answer. ``room`` lets several ports share one cap on
    connections.
    """

    def __init__(
        self,
        handler: Handler,
        label: object,
        host: str | None = None,
        port: int = 0,
        *,
        sock: socket.socket | None = None,
        ssl: ssl.SSLContext | None = None,
        settings: Settings | None = None,
        pages: web.Server | None = None,
        is_page: Callable[[str], bool] | None = None,
        on_answer: OnAnswer | None = None,
        logger: Logger | None = None,
        room: Room | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.settings = settings or Settings()
        self.host = host
        self.port = port
        self._handler = handler
        self._sock = sock
        self._ssl = ssl
        self._pages = pages
        self._is_page = is_page
        self._reuse_port = reuse_port
        self._door: _Door | None = None
        self._listener: asyncio.AbstractServer | None = None
        self._shared = Shared(
            settings=self.settings,
            room=room or Room(self.settings.max_connections),
            label=label,
            tls=ssl is not None,
            logger=logger or getLogger("pierhead.door"),
            on_answer=on_answer,
        )

    @property
    def label(self) -> object:
        return self._shared.label

    @property
    def connections(self) -> int:
        """Open connections, idle ones included."""
        return 0 if self._door is None else len(self._door.connections)

    @property
    def running(self) -> int:
        """Requests being handled."""
        return self._shared.running

    async def open(self) -> None:
        """Bind and listen; ``port`` is then the bound one. Raises OSError when the address is taken or not ours."""
        loop = asyncio.get_running_loop()
        self._shared.draining = False
        self._door = _Door(self._handler, self._shared, loop, self._pages, self._is_page)
        sock = self._sock or self._bind()
        try:
            self._listener = await loop.create_server(
                self._door,
                sock=sock,
                ssl=self._ssl,
                backlog=self.settings.backlog,
                # A client that never finishes the handshake is held to the deadline for heads.
                ssl_handshake_timeout=self.settings.head_seconds if self._ssl else None,
                ssl_shutdown_timeout=self.settings.linger_seconds if self._ssl else None,
            )
        except BaseException:
            sock.close()
            raise
        self.port = address(sock.getsockname())[1]

    def _bind(self) -> socket.socket:
        host = self.host or "0.0.0.0"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        infos = socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(infos[0][4])
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    async def drain(self, seconds: float = 30.0) -> int:
        """Stop: refuse new connections, close idle ones at once, let running requests and those that are about to
        come finish, and cut what is still there after ``seconds``. Returns the number of connections that were cut."""
        door, listener = self._door, self._listener
        if door is None or listener is None:
            return 0
        listener.close()
        self._shared.draining = True
        await asyncio.sleep(0)
        deadline = monotonic() + seconds
        while (left := _open_connections(door)) or self._shared.running:
            for conn in left:
                if conn.resting:
                    conn.force_close()
            if monotonic() >= deadline:
                break
            await asyncio.sleep(0.01)
        for conn in left:
            conn.cut()
        # What still runs has lost its client: it gets a moment to notice, and is cancelled then.
        moment = min(1.0, seconds)
        await self._idle(moment)
        for each in door.connections:
            if isinstance(each, Connection):
                each.cancel()
        await self._idle(moment)
        self._door = self._listener = None
        return len(left)

    async def _idle(self, seconds: float) -> None:
        last = monotonic() + seconds
        while self._shared.running and monotonic() < last:  # noqa: ASYNC110  (a count, looked at only while stopping)
            await asyncio.sleep(0.01)


def _open_connections(door: web.Server) -> list[Connection]:
    return [conn for conn in door.connections if isinstance(conn, Connection) and conn.open]


def tls_context(certificate: str, key: str, password: str | None = None) -> ssl.SSLContext:
    """A context for a port: TLS 1.2 or later, HTTP/1.1 only. ``load_cert_chain`` on it later changes the certificate
    for the next handshake. Raises OSError or ssl.SSLError when the files cannot be read or do not fit together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, password)
    return context
