"""One connection: between the server's protocol object with our deadlines (``watched``) and requests and answers."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final, Protocol, cast

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from pierhead.faces.door import heads
from pierhead.faces.door.ask import Ask, Pace
from pierhead.faces.door.shared import Done, Shared
from pierhead.faces.door.turn import Turn
from pierhead.faces.door.watched import Watched

# What ``start`` needs of the server besides its public names. Without one of them it leaves every request to it.
_NEEDED: Final = ("_messages", "_parser", "_upgraded", "_buffer_paused", "_force_close", "_close")


class Doorway(Protocol):
    """The part of the port's own server that a connection needs."""

    is_page: Callable[[str], bool] | None

    def alone(self, conn: "Connection", message: RawRequestMessage) -> Awaitable[bool]:
        """Answer a request without a body; returns whether the connection is kept."""


class Parting(Done):
    """The door has answered a request that broke the protocol, and the connection ends."""

    __slots__ = ("_conn",)

    def __init__(self, conn: "Connection") -> None:
        super().__init__(False)
        self._conn = conn

    async def write_eof(self) -> None:
        await self._conn.parted()


class Connection(Watched):
    """Tells the deadlines where a request begins and ends, and answers what the parser refused."""

    __slots__ = ("_doorway", "_turn", "own")

    def __init__(self, server: web.Server, doorway: Doorway, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, shared, loop)
        self._doorway = doorway
        self._turn = Turn(loop)
        self.own: asyncio.Task[None] | None = None
        """The task that serves this connection; what :meth:`cancel` ends."""

    def data_received(self, data: bytes) -> None:
        if self._looking and self._refuses(data):
            return
        self.settle()
        super().data_received(data)
        if self._chunked:
            self._check_framing()
        turn = self._turn
        if turn.awaited and self._messages:
            turn.come()

    async def start(self) -> None:
        """The life of the connection. A request that comes alone and without a body, as nearly all pulls do, is
        answered in the very call that brought it: no task, no request object and no round of the loop of its own.

        The first one that is anything else (a body, a page, an upgrade, something malformed, several at once) is left
        to the server, and with it all that follow on this connection.
        """
        self.own = asyncio.current_task()
        if all(hasattr(self, name) for name in _NEEDED) and hasattr(self._parser, "message_consumed"):
            self.keep_alive(True)  # takes the server's own timer away: our deadlines hold here
            if not await self._one_by_one():
                return
        await super().start()

    async def _one_by_one(self) -> bool:
        """Answers until something comes that is the server's; False when the connection ends before."""
        messages = self._messages
        is_page = self._doorway.is_page
        while not self._force_close:
            if not messages:
                await self._turn
            if len(messages) != 1 or self._upgraded or self._buffer_paused or self._parser is None:
                return True
            message, content = messages[0]
            if content is not EMPTY_PAYLOAD or not isinstance(message, RawRequestMessage):
                return True
            if is_page is not None and is_page(message.path):
                return True
            messages.popleft()
            self._parser.message_consumed()
            try:
                kept = await self._doorway.alone(self, message)
            except asyncio.CancelledError:
                self.force_close()
                raise
            except Exception as error:
                self.log_exception("Unhandled exception", exc_info=error)
                self.force_close()
                return False
            if not kept or self._close:
                if self.transport is not None:
                    self.transport.close()
                return False
        return False

    def close(self) -> None:
        super().close()
        self._turn.cancel()

    def force_close(self) -> None:
        super().force_close()
        self._turn.cancel()

    def begin(
        self,
        content: Any,
        *,
        chunked: bool,
        page: Ask | None = None,
        writer: AbstractStreamWriter | None = None,
    ) -> None:
        """A request is here; deadlines for heads rest until :meth:`end`. A page brings its Ask and its writer, since
        the application reads and writes past the door."""
        self.shared.running += 1
        self._busy = True
        self._first = False
        self._looking = False
        self._head_since = 0.0
        if content is not EMPTY_PAYLOAD:
            self._content = content
            self.pace = Pace()
            if chunked:
                self._chunked = True
                self._check_framing()
            if page is not None:
                self._looking = True
                self.reading_since = monotonic()
        self._page = page
        self._writer = writer

    def end(self, now: float) -> None:
        """The answer is out (or given up)."""
        if not self._busy:
            return
        self.shared.running -= 1
        self._busy = False
        self._looking = True
        self._chunked = False
        self._since = now
        self._head_bytes = 0
        self._tail = b""
        self._page = self._writer = None
        self._content = EMPTY_PAYLOAD
        self.reading_since = 0.0

    def cancel(self) -> None:
        """End the request that runs here: only for a port that has drained for long enough."""
        if self._busy and self.own is not None:
            self.own.cancel()

    def _check_framing(self) -> None:
        """End the wait for a chunked body whose framing is broken.

        The server queues the error behind the running request and leaves its reader waiting. That queue has no
        public name: without it, the deadline for silent bodies does the same, later.
        """
        queue = getattr(self, "_messages", None)
        if queue and not hasattr(queue[-1][0], "method") and not self._content.is_eof():
            self._chunked = False
            self._content.set_exception(ValueError("broken framing"))

    # What the HTTP server reports

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or a page that timed out, without a word of the client's."""
        answer = heads.BROKEN
        if isinstance(exc, LineTooLong):
            in_target = len(exc.args) > 1 and exc.args[1] == self.shared.settings.target_bytes
            answer = heads.LONG_TARGET if in_target else heads.LARGE_HEAD
        elif message == "Too many headers received":
            answer = heads.LARGE_HEAD
        elif status == 400:
            answer = heads.NOT_HTTP
        elif status == 504:
            answer = heads.BODY_SLOW
        if request.writer.output_size > 0 or self.transport is None:
            raise ConnectionError
        self.transport.write(self._refusal(answer))
        self.shared.report(self.blank(), answer.status, len(answer.body), 0.0)
        return cast(web.StreamResponse, Parting(self))

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """The server's own log lines quote the client; ours do not."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            self.shared.failed("The HTTP layer failed", error)
        if self._page is not None:
            self.end(monotonic())

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """The answer of a page is out. Other answers are reported where they are sent."""
        page = self._page
        if page is not None:
            now = monotonic()
            self.end(now)
            self.shared.report(page, response.status, response.body_length, now - page.received)
