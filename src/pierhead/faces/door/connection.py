"""One connection: between the server's protocol object with our deadlines (``watched``) and requests and answers."""

import asyncio
from time import monotonic
from typing import Any, cast

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong

from pierhead.faces.door import heads
from pierhead.faces.door.ask import Ask, Pace
from pierhead.faces.door.shared import Done
from pierhead.faces.door.watched import Watched


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

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        if self._looking and self._refuses(data):
            return
        super().data_received(data)
        if self._chunked:
            self._check_framing()

    def begin(
        self,
        content: Any,
        task: "asyncio.Task[None]",
        *,
        chunked: bool,
        page: Ask | None = None,
        writer: AbstractStreamWriter | None = None,
    ) -> None:
        """A request is here; deadlines for heads rest until :meth:`end`. A page brings its Ask and its writer, since
        the application reads and writes past the door. ``task`` is what :meth:`cancel` ends."""
        self._task = task
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
        self._task = None
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
        if self._busy and self._task is not None:
            self._task.cancel()

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
