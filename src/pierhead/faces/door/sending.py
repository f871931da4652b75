"""How answers leave: bytes in one write, files through sendfile, streams piece by piece and counted."""

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from os import preadv
from typing import Final, TypeVar

from aiohttp.http import StreamWriter

from pierhead.faces.door.ask import Answer, FileSlice, Headers, Stream
from pierhead.faces.door.connection import Connection

T = TypeVar("T")

# One pread is cheaper than a sendfile up to here (measured; see the decision record on the HTTP server).
INLINE_BYTES: Final = 128 << 10
TLS_PIECE_BYTES: Final = 256 << 10
WINDOW_BYTES: Final = 1 << 20
NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0)
BODILESS: Final = frozenset({204, 304})


class Lost(Exception):
    """The answer did not get out whole, and the connection is cut or gone."""


class Sender:
    """Sends one answer to one request. ``ends`` says that the connection is not kept afterwards."""

    __slots__ = ("bodiless", "conn", "ends", "old", "sent", "started")

    def __init__(self, conn: Connection, *, head_only: bool, old: bool, ends: bool) -> None:
        self.conn = conn
        self.bodiless = head_only
        self.old = old
        self.ends = ends
        self.sent = 0
        self.started = False

    def _head(self, status: int, headers: Headers, length: int | None) -> bytes:
        """The head; decides about the body. ``length`` None means chunked, or until the end of the connection for
        a client of HTTP/1.0 (RFC 9112 section 6.3)."""
        if status in BODILESS:
            self.bodiless = True
            framing = ""
        elif length is not None:
            framing = f"Content-Length: {length}\r\n"
        elif self.old:
            framing = ""
            self.ends = True
        else:
            framing = "Transfer-Encoding: chunked\r\n"
        if self.ends:
            framing += "Connection: close\r\n"
        elif self.old:
            framing += "Connection: keep-alive\r\n"
        return self.conn.shared.heads.head(status, headers, framing)

    def _transport(self) -> asyncio.Transport:
        transport = self.conn.transport
        if transport is None or transport.is_closing():
            raise Lost
        return transport

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport().write(data)
        self.conn.sent += len(data)
        self.started = True

    async def drained(self) -> None:
        """Wait until the transport wants more; the connection's timer cuts a reader that stalls."""
        try:
            await StreamWriter(self.conn, asyncio.get_running_loop()).drain()
        except ConnectionError:
            raise Lost from None
        if self.conn.gone():
            raise Lost

    def answer(self, answer: Answer) -> None:
        """Hand an answer in memory to the transport, which may want to be waited for then (``drained``).

        Raises Lost; ValueError, before anything is out, for a bad header of ours."""
        body = answer.body
        length = len(body)
        if self.bodiless and answer.length is not None:
            length = answer.length
        if answer.close:
            self.ends = True
        head = self._head(answer.status, answer.headers, length)
        if self.bodiless or not body:
            self._write(head)
        elif len(body) <= 16384:
            self._write(head + body)
            self.sent = len(body)
        else:
            self._write(head)
            self._write(body)
            self.sent = len(body)

    async def stream(self, answer: Stream) -> None:
        """Send pieces as they come. Raises Lost, or whatever the pieces raise; ``started`` tells whether a proper
        answer is still possible then. The pieces are closed in every case."""
        pieces = answer.pieces
        try:
            if self.bodiless or answer.status in BODILESS:
                self._write(self._head(answer.status, answer.headers, answer.length))
                return
            await self._pieces(answer)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    async def _pieces(self, answer: Stream) -> None:
        length = answer.length
        chunked = length is None and not self.old
        async for piece in answer.pieces:
            size = len(piece)
            if length is not None and self.sent + size > length:
                raise ValueError("a stream is longer than its declared length")
            if not self.started:
                self._write(self._head(answer.status, answer.headers, length))
            if size == 0:
                continue
            if not chunked:
                self._write(piece)
            elif size <= 16384:
                self._write(b"%x\r\n%b\r\n" % (size, piece))
            else:
                self._write(b"%x\r\n" % size)
                self._write(piece)
                self._write(b"\r\n")
            self.sent += size
            if self.conn.writing_paused:
                await self.drained()
        if length is not None and self.sent != length:
            raise ValueError("a stream is shorter than its declared length")
        if not self.started:
            self._write(self._head(answer.status, answer.headers, length))
        if chunked:
            self._write(b"0\r\n\r\n")

    async def file(self, answer: FileSlice) -> None:
        """Send a part of a file. Raises Lost; OSError or EOFError, where ``started`` tells whether a proper answer
        is still possible."""
        path = answer.path
        file = path if isinstance(path, int) else -1
        away = _Away()
        try:
            if self.bodiless or answer.count == 0 or answer.status in BODILESS:
                self._write(self._head(answer.status, answer.headers, answer.count))
                return
            if not isinstance(path, int):
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            head = self._head(answer.status, answer.headers, answer.count)
            if answer.count <= INLINE_BYTES:
                data = await _read(away, file, answer.offset, answer.count)
                self._write(head)
                self._write(data)
                self.sent = len(data)
                if self.conn.writing_paused:
                    await self.drained()
            elif self.conn.tls:
                await self._file_by_pieces(away, file, head, answer.offset, answer.count)
            else:
                await self._file_by_kernel(away, file, head, answer.offset, answer.count)
        finally:
            if file >= 0:
                away.then(lambda: os.close(file))

    async def _file_by_pieces(self, away: "_Away", file: int, head: bytes, offset: int, count: int) -> None:
        end = offset + count
        while offset < end:
            data = await _read(away, file, offset, min(TLS_PIECE_BYTES, end - offset))
            if not self.started:
                self._write(head)
            self._write(data)
            self.sent += len(data)
            offset += len(data)
            if self.conn.writing_paused:
                await self.drained()

    async def _file_by_kernel(self, away: "_Away", file: int, head: bytes, offset: int, count: int) -> None:
        """sendfile on a duplicate of the socket: uvloop has none of its own, and the transport keeps its socket."""
        transport = self._transport()
        original = transport.get_extra_info("socket")
        kernel = socket.socket(original.family, original.type, original.proto, os.dup(original.fileno()))
        try:
            await self._head_by_kernel(transport, kernel, head)
            end = offset + count
            warm_until = offset
            while offset < end:
                size = min(WINDOW_BYTES, end - offset)
                try:
                    if offset >= warm_until and _warm(file, offset, size):
                        warm_until = offset + size
                    if offset < warm_until:
                        size = warm_until - offset
                        sent = os.sendfile(kernel.fileno(), file, offset, size)
                    else:
                        sent = await away.run(partial(os.sendfile, kernel.fileno(), file, offset, size))
                except BlockingIOError:
                    await self._writable(kernel)
                    continue
                except ConnectionError:
                    raise Lost from None
                if sent == 0:
                    raise EOFError("a file is shorter than the slice asked for")
                offset += sent
                self.sent += sent
                self.conn.sent += sent
                if self.conn.gone():
                    raise Lost
                if offset < end:
                    await asyncio.sleep(0)
        finally:
            away.then(kernel.close)

    async def _head_by_kernel(self, transport: asyncio.Transport, kernel: socket.socket, head: bytes) -> None:
        """The head, in front of the file: directly, held back for the first bytes of the file; behind what the
        transport still holds, when an earlier answer is not out yet."""
        self.started = True
        self.conn.sent += len(head)
        if transport.get_write_buffer_size() == 0:
            try:
                head = head[kernel.send(head, socket.MSG_MORE) :]
            except BlockingIOError:
                pass
            except ConnectionError:
                raise Lost from None
            if not head:
                return
        low, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(0)
        transport.write(head)
        try:
            while transport.get_write_buffer_size():
                if self.conn.writing_paused:
                    await self.drained()
                else:
                    await asyncio.sleep(0)
        finally:
            transport.set_write_buffer_limits(high, low)

    async def _writable(self, kernel: socket.socket) -> None:
        if self.conn.gone():
            raise Lost
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        self.conn.wake = wake
        loop.add_writer(kernel.fileno(), wake)
        try:
            await ready
        finally:
            self.conn.wake = None
            loop.remove_writer(kernel.fileno())
        if self.conn.gone():
            raise Lost


class _Away:
    """Runs blocking file work in a thread and knows when it has ended: a descriptor must not be closed, and its
    number given to somebody else, under a thread that still uses it."""

    __slots__ = ("_work",)

    def __init__(self) -> None:
        self._work: asyncio.Future[object] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        work = asyncio.get_running_loop().run_in_executor(None, call)
        self._work = work  # type: ignore[assignment]  # only its end matters
        return await asyncio.shield(work)

    def then(self, action: Callable[[], None]) -> None:
        """Do it now, or once the thread is through (a request may be cancelled in between)."""
        if self._work is None or self._work.done():
            action()
        else:
            self._work.add_done_callback(lambda _: action())


def _warm(file: int, offset: int, size: int) -> bool:
    """Whether both ends of a window are in memory, so that reading it will not wait for a disk."""
    probe = bytearray(1)
    try:
        preadv(file, [probe], offset, NO_WAIT)
        preadv(file, [probe], offset + size - 1, NO_WAIT)
    except OSError:
        return False
    return True


async def _read(away: _Away, file: int, offset: int, size: int) -> bytes | bytearray:
    """``size`` bytes, read here when they are in memory and in a thread otherwise. Raises EOFError when short."""
    data: bytes | bytearray = bytearray(size)
    try:
        got = preadv(file, [data], offset, NO_WAIT)
    except OSError:
        got = 0
    if got < size:
        data = await away.run(lambda: os.pread(file, size, offset))
        got = len(data)
    if got < size:
        raise EOFError("a file is shorter than the slice asked for")
    return data
