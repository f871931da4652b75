"""The deadlines and limits of a connection, on top of the server's protocol object.

One timer per connection looks at it every few seconds and covers every deadline (silent, slow head, slow body, idle,
stalled reader, stuck close), so that the hot path pays no timer of its own.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, cast

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from pierhead.faces.door import heads
from pierhead.faces.door.anew import head_bounds, request_parser
from pierhead.faces.door.ask import Answer, Ask, Pace
from pierhead.faces.door.queues import unread, unsent
from pierhead.faces.door.shared import Shared, address
from pierhead.faces.door.tap import ZEROS, Tap

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
HEAD_END: Final = b"\r\n\r\n"


class Watched(web.RequestHandler):
    """A connection that ends in time, whatever its client does, and the :class:`~pierhead.faces.door.ask.Line` of
    its Asks. What happens to requests is in ``connection``."""

    __slots__ = (
        "_busy",
        "_chunked",
        "_closing_since",
        "_content",
        "_first",
        "_head_bytes",
        "_head_since",
        "_looking",
        "_mark",
        "_owed",
        "_page",
        "_parting",
        "_since",
        "_socket",
        "_tail",
        "_tap",
        "_timer",
        "_wire",
        "_writer",
        "host",
        "local",
        "pace",
        "peer",
        "reading_since",
        "sent",
        "shared",
        "wake",
    )

    def __init__(self, server: web.Server, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        limits = shared.settings
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented as the way to have none
            logger=shared.logger,
            auto_decompress=False,
            # Idle connections are closed by our own timer; the server's is a second net, far out.
            keepalive_timeout=limits.idle_seconds * 10,
            lingering_time=0,
            **head_bounds(limits),
            read_bufsize=limits.read_bytes,
        )
        self.shared = shared
        self.pace = Pace()
        self.reading_since = 0.0
        self.sent = 0
        self.host: str | None = None
        self.peer = ""
        self.local = ("", 0)
        self.wake: Callable[[], None] | None = None
        self._wire: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._first = True
        self._looking = True
        self._chunked = False
        self._page: Ask | None = None
        self._writer: AbstractStreamWriter | None = None
        self._content: Any = EMPTY_PAYLOAD
        self._since = self._head_since = self._closing_since = self._parting = 0.0
        self._head_bytes = 0
        self._tail = b""
        self._mark: tuple[float, int] | None = None
        self._tap: Tap | None = None
        self._owed = 0  # bytes of the body that the parser has yet to be told of

    @property
    def port(self) -> object:
        return self.shared.label

    @property
    def tls(self) -> bool:
        return self.shared.tls

    @property
    def resting(self) -> bool:
        """Whether no request is being handled, has arrived unread, or is about to: who was just here asks again."""
        if self._busy or not self._looking or monotonic() - self._since < self.shared.settings.warm_seconds:
            return False
        return self._socket is None or not unread(self._socket)

    @property
    def open(self) -> bool:
        """Whether the transport has not reported its end yet."""
        return self._wire is not None

    # Life of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        shared = self.shared
        self._wire = wire
        self._socket = wire.get_extra_info("socket")
        if not shared.room.enter():
            self._wire = None
            self.close()
            wire.write(self._refusal(heads.FULL))
            wire.close()
            return
        super().connection_made(transport)
        self.peer = address(wire.get_extra_info("peername"))[0]
        self.local = address(wire.get_extra_info("sockname"))
        self._since = monotonic()
        self._tick()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._wire is not None:
            self._wire = None
            self.shared.room.leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)
        if self.wake is not None:
            self.wake()
        if self._tap is not None:
            self._tap.stir()

    def gone(self) -> bool:
        transport = self.transport
        return transport is None or transport.is_closing()

    def cut(self) -> None:
        """Close with a reset, so that the kernel keeps nothing for a reader who does not read."""
        wire = self._wire
        if wire is not None:
            if self._socket is not None:
                try:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                except OSError:
                    pass
            wire.abort()

    def say_continue(self) -> None:
        if not self.gone() and self.transport is not None:
            self.transport.write(heads.CONTINUE)

    # Bodies that are read past the server

    def tap(self, left: int) -> Tap:
        """Stops reading, so that a thread may. The server's reader is empty, ``left`` bytes of the body are to come.

        The descriptor is a duplicate: the transport may close its own while the thread still reads.
        """
        wire, sock = self._wire, self._socket
        try:
            handle = os.dup(sock.fileno()) if sock is not None else -1
        except OSError:
            handle = -1
        if wire is None or handle < 0:
            return Tap(-1, 0)
        wire.pause_reading()
        self._tap = Tap(handle, left)
        return self._tap

    def untap(self, tap: Tap) -> None:
        """Reads on."""
        self._tap = None
        tap.close()
        self._owed += tap.missed
        if tap.missed and not tap.left and self._content.exception() is None and not self._parse_anew():
            self.settle()
        if self._wire is not None:
            self._wire.resume_reading()

    def settle(self) -> None:
        """Before the server reads on in a body: its parser learns how many bytes it missed."""
        owed, self._owed = self._owed, 0  # reading may bring the server back here
        while owed and not self.gone() and self._content.exception() is None:
            zeros = ZEROS if owed >= len(ZEROS) else ZEROS[:owed]
            owed -= len(zeros)
            super().data_received(zeros)
            self._content.read_nowait()

    def _parse_anew(self) -> bool:
        """Behind a body that ended past the parser stands the head of a request, which a new one can read; False if
        this server has none to change."""
        if getattr(self, "_parser", None) is None:
            return False
        self._owed = 0
        self._parser = request_parser(self, self.shared.settings)
        self._content.feed_eof()
        return True

    # Deadlines

    def _tick(self) -> None:
        self._timer = None
        seconds = self._look(monotonic())
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self._tick) if self._wire else None

    def _look(self, now: float) -> float:
        """Enforce what is due; returns the seconds until the next look."""
        settings = self.shared.settings
        often = settings.look_seconds
        if self._wire is None:
            return often
        if self._parting and not self._wire.is_closing():
            left = self._parting + settings.linger_seconds - now
            if left > 0:
                return left
            self._wire.close()
        if self._wire.is_closing():
            if not self._closing_since:
                self._closing_since = now
            elif now - self._closing_since >= settings.stall_seconds:
                self.cut()
            return often
        if not self._busy:
            self._mark = None
            return min(often, self._look_idle(now))
        if self.writing_paused or self.wake is not None:
            self._look_writer(now)
            return often
        self._mark = None
        return min(often, self._look_reader(now)) if self.reading_since else often

    def _look_idle(self, now: float) -> float:
        settings = self.shared.settings
        if not self._looking:
            # A blank line passed for the end of a head: a real request would be running by now, or at the next look.
            # Looking too early, the body of one that is about to run would be taken for a head.
            self._looking = self._head_since > 0.0
            self._head_since = self._head_since or now
        if self._first:
            due = self._since + settings.head_seconds
        elif self._head_since:
            due = self._head_since + settings.head_seconds
        else:
            due = self._since + settings.idle_seconds
        if now < due:
            return due - now
        self._give_up(heads.HEAD_SLOW if self._head_since else None)
        return settings.linger_seconds

    def _look_reader(self, now: float) -> float:
        settings = self.shared.settings
        waiting = now - self.reading_since
        due = settings.body_idle_seconds - waiting
        if self._page is not None:
            if self._content.is_eof():
                self.reading_since = 0.0
                return settings.look_seconds
            due = settings.look_seconds  # the time since the start of a page's request is not silence
        if due <= 0:
            self._too_slow()
        else:
            self.hasten(waiting)
        return max(due, 0.0)

    def hasten(self, waiting: float = 0.0) -> None:
        """Gives up a body that comes too slowly; ``waiting`` seconds for it are not counted in its pace yet."""
        settings = self.shared.settings
        if self.pace.too_slow(waiting, settings.pace_seconds, settings.pace_bytes):
            self._too_slow()

    def _too_slow(self) -> None:
        """Whoever reads the body is told."""
        self.reading_since = 0.0
        self._content.set_exception(TimeoutError("the body came too slowly"))
        if self._tap is not None:
            self._tap.stir()

    def _look_writer(self, now: float) -> None:
        settings = self.shared.settings
        taken = self._taken()
        if self._mark is None:
            self._mark = (now, taken)
            return
        since, before = self._mark
        if now - since >= settings.stall_seconds:
            if taken - before < settings.pace_bytes * settings.stall_seconds:
                self.cut()
            self._mark = (now, taken)

    def _taken(self) -> int:
        """Bytes the reader has acknowledged so far (up to a constant): what the kernel still holds does not count."""
        wire, sock = self._wire, self._socket
        if wire is None or sock is None:
            return 0
        if self._writer is not None:
            self.sent = self._writer.output_size
        return self.sent - wire.get_write_buffer_size() - unsent(sock)

    # Heads

    def _refuses(self, data: bytes) -> bool:
        """Follow the head of a request until it ends; True when the connection was given up."""
        if self._parting:
            self._head_bytes += len(data)
            if self._head_bytes > self.shared.settings.linger_bytes and self._wire is not None:
                self._wire.pause_reading()
            return True
        if self._page is not None:
            self.pace.counted += len(data)
            return False
        if not data:
            return False
        limit = self.shared.settings.head_bytes
        start = len(self._tail)
        end = (self._tail + data).find(HEAD_END) if start else data.find(HEAD_END)
        if end >= 0:
            self._looking = False
            if self._head_bytes + end <= limit:
                return False
        else:
            if not self._head_since:
                self._head_since = monotonic()
            self._head_bytes += len(data)
            self._tail = (self._tail + data[-3:])[-3:]
            if self._head_bytes <= limit:
                return False
        self._give_up(heads.LARGE_HEAD)
        return True

    def _refusal(self, answer: Answer) -> bytes:
        framing = f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n"
        return self.shared.heads.head(answer.status, answer.headers, framing) + bytes(answer.body)

    def _give_up(self, answer: Answer | None) -> None:
        """End a connection that has no request, with an answer where the client said something."""
        if answer is None or self.transport is None:
            self.force_close()
            return
        self.transport.write(self._refusal(answer))
        self.shared.report(self.blank(), answer.status, len(answer.body), 0.0)
        self._part()
        self.close()

    def _part(self) -> None:
        """Close with time for the client to read the answer while it may still be sending: closing at once would
        reset the connection, and a reset may overtake the answer (RFC 9112 section 9.6). A little of what still
        comes is thrown away, the rest is left to the kernel, so that no large body is swallowed."""
        wire = self._wire
        if wire is None or wire.is_closing():
            return
        self._parting = monotonic()
        self._looking = True
        self._head_bytes = 0
        if wire.can_write_eof():
            wire.write_eof()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self.shared.settings.linger_seconds, self._tick)

    async def parted(self) -> None:
        """Close as :meth:`_part` does and wait for the end."""
        over = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        self._part()
        if self._parting and self._wire is not None:
            self.wake = wake
            try:
                await over
            finally:
                self.wake = None

    def blank(self) -> Ask:
        """Stands for a request that could not be read."""
        return Ask("-", "/", "", 0, self, CIMultiDict[str](), EMPTY_PAYLOAD, False, monotonic())
