"""What a face gets from the door and what it gives back: requests and answers as plain values.

Faces know this file and nothing of the HTTP server behind it. A handler takes an :class:`Ask` and returns an
:class:`Answer` (bytes), a :class:`FileSlice` (part of a file, sent by the kernel where that is possible) or a
:class:`Stream` (pieces that arrive one after another).
"""

import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from pierhead.faces.door.tap import Tap

Headers: TypeAlias = Sequence[tuple[str, str]] | Mapping[str, str]

PIECES_BYTES_MAX = 1 << 20


# What a disk says of bytes that it has not any more: gone, unreadable, or not what was written (btrfs, ext4, zfs).
_BROKEN: Final = frozenset({errno.ENOENT, errno.EIO, errno.EBADMSG, errno.EUCLEAN})


def is_broken(error: Exception) -> bool:
    """Whether it tells of a file that is damaged, and not of a machine that has no descriptors or memory left."""
    return isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno in _BROKEN)


class Gone(Exception):
    """The rest of the body will not come: the client left, or its framing is broken."""


class TooLarge(Exception):
    """The body is longer than the caller of :meth:`Ask.body` accepts."""


class Answer(Struct):
    """An answer whose body is in memory.

    ``headers`` must not hold Content-Length, Transfer-Encoding, Connection, Date or Server: the door writes those
    and drops them here. ``length`` is the Content-Length to declare in answer to HEAD, in bytes; without it the
    length of ``body`` is declared. A body is never sent for HEAD, 204 and 304 (RFC 9110 section 6.4.1).
    ``close`` ends the connection after this answer.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | bytearray | memoryview = b""
    length: int | None = None
    close: bool = False


class FileSlice(Struct):
    """``count`` bytes of a file from ``offset``. The door opens a path itself; a file descriptor is handed over
    and the door closes it, whatever happens. A file that turns out shorter cuts the connection, so that no client
    takes the part for the whole.

    ``broken`` is called with ``what`` if the file is not there, cannot be read, or is shorter: two fields and no
    closure, since every pull of a blob makes one of these."""

    status: int
    headers: Headers
    path: str | int
    offset: int
    count: int
    broken: Callable[[Any], None] | None = None
    what: object = None


class BrokenOff(Exception):
    """Raised by the pieces of a Stream that cannot go on, when why is told already: the connection is cut, no more."""


class Stream(Struct):
    """Pieces of a body that are sent as they come. ``length`` in bytes, or None for chunked encoding.

    The head is sent with the first piece (an empty piece sends the head alone), so an iterator that fails before
    it still gives a proper 500. Later, the door cuts the connection when the pieces fail, or add up to anything
    but ``length``. The iterator is closed in every case.
    """

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]
    length: int | None = None


AnyAnswer: TypeAlias = Answer | FileSlice | Stream


class Body(Protocol):
    """The part of the server's body reader that is used here."""

    total_bytes: int

    async def readchunk(self) -> tuple[bytes, bool]: ...
    async def readany(self) -> bytes: ...
    def read_nowait(self, n: int = -1) -> bytes: ...
    def at_eof(self) -> bool: ...
    def exception(self) -> BaseException | None: ...


class Line(Protocol):
    """The part of the connection that a request needs."""

    peer: str
    local: tuple[str, int]
    reading_since: float
    pace: "Pace"

    @property
    def port(self) -> object: ...
    @property
    def tls(self) -> bool: ...
    def gone(self) -> bool: ...
    def cut(self) -> None: ...
    def say_continue(self) -> None: ...
    def tap(self, left: int) -> Tap: ...
    def untap(self, tap: Tap) -> None: ...
    def settle(self) -> None: ...
    def hasten(self) -> None: ...


class Sink(Protocol):
    """Where :meth:`Ask.pour` puts bytes, in order."""

    async def append(self, pieces: Sequence[bytes], /) -> None: ...
    async def draw(self, source: Tap, /) -> None: ...


class Fields(Protocol):
    """Header fields, by name in any case."""

    def get(self, name: str, /) -> str | None: ...
    def getall(self, name: str, default: list[str], /) -> list[str]: ...


class Pace:
    """How fast a body arrives, counted only while somebody waits for it: our own slowness is not the client's."""

    __slots__ = ("counted", "waited")

    def __init__(self) -> None:
        self.waited = 0.0
        self.counted = 0

    def too_slow(self, waiting: float, seconds: float, rate: int) -> bool:
        """Whether fewer than ``rate`` bytes per second came over ``seconds`` of waiting; starts the next span
        when the span is over and was good enough."""
        if self.waited + waiting < seconds:
            return False
        if self.counted < rate * seconds:
            return True
        self.waited = -waiting
        self.counted = 0
        return False


class Ask:
    """One request, made by the door.

    ``target`` is the raw path: neither decoded nor normalised, without the query, always with a leading "/".
    ``length`` is the Content-Length in bytes, 0 without a body, None for a chunked body. ``port`` is the label of
    the listener. ``received`` is monotonic, in seconds.
    """

    __slots__ = (
        "_body",
        "_fields",
        "_got",
        "_line",
        "_more",
        "_note",
        "length",
        "method",
        "query",
        "received",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        query: str,
        length: int | None,
        line: Line,
        fields: Fields,
        body: Body,
        expects: bool,
        received: float,
    ) -> None:
        self.method = method
        self.target = target
        self.query = query
        self.length = length
        self.received = received
        self._line = line
        self._fields = fields
        self._body = body
        self._note: dict[str, object] | None = None
        self._got = 0
        self._more = expects

    @property
    def port(self) -> object:
        """The label of the listener that took this request."""
        return self._line.port

    @property
    def peer(self) -> str:
        """Address of the other end of the connection, as it stands there: no forwarded header is looked at."""
        return self._line.peer

    @property
    def local(self) -> tuple[str, int]:
        """Address and port of our end of the connection."""
        return self._line.local

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted here."""
        return self._line.tls

    @property
    def note(self) -> dict[str, object]:
        """Fields that faces leave for the access log (account, repository, member ...)."""
        if self._note is None:
            self._note = {}
        return self._note

    @property
    def noted(self) -> bool:
        """Whether somebody left a note; asking makes none."""
        return self._note is not None

    @property
    def taken(self) -> int:
        """Bytes of the body that were handed over so far."""
        return self._got

    def get(self, name: str) -> str | None:
        """First value of a header, by its name in any case, or None."""
        return self._fields.get(name)

    def all(self, name: str) -> list[str]:
        """Every value of a header in the order of arrival; empty when it is not there."""
        return self._fields.getall(name, [])

    async def chunks(self) -> list[bytes]:
        """The next pieces of the body, at least one and up to about 1 MiB of what has arrived; [] at the end.

        Tells a client that waits for it to go on (100-continue) at the first call.

        Raises Gone when the client left, sent less than announced or broke the framing; TimeoutError when it was
        silent or too slow for too long (unhandled, the door makes 408 of it).
        """
        body = self._body
        self._welcome()
        pieces: list[bytes] = []
        self._line.settle()
        got = self._got
        stop = got + PIECES_BYTES_MAX
        try:
            if body.total_bytes > got or body.at_eof() or body.exception() is not None:
                piece = await self._piece()
            else:
                piece = await self._wait()
            while piece:
                pieces.append(piece)
                got += len(piece)
                if got >= stop or body.total_bytes <= got:
                    break
                piece = await self._piece()
        except TimeoutError as error:
            if self._line.gone():
                raise Gone from error
            raise
        except Exception as error:
            # The reader raises several of its own kinds, a plain RuntimeError among them; all mean the same here.
            raise Gone from error
        self._got = got
        return pieces

    async def _piece(self) -> bytes:
        """One piece: as it came from the socket for a known length, joined for chunked (there may be very many)."""
        if self.length is None:
            return await self._body.readany()
        return (await self._body.readchunk())[0]

    async def _wait(self) -> bytes:
        line = self._line
        line.reading_since = since = time.monotonic()
        try:
            piece = await self._piece()
        finally:
            line.reading_since = 0.0
        pace = line.pace
        pace.waited += time.monotonic() - since
        pace.counted += len(piece)
        return piece

    async def pour(self, sink: Sink) -> None:
        """Lets ``sink`` take the rest of the body in a thread, straight from the socket.

        Ends before the body where the client left, was silent or too slow, or the framing is broken: :meth:`chunks`
        tells, and has what is left. Does nothing for a body of unknown length, an encrypted one, and at the end. Raises
        what ``sink`` raises.
        """
        body, line = self._body, self._line
        if self.length is None or line.tls or line.gone() or body.exception() is not None:
            return
        if self._got >= self.length:
            return
        self._welcome()
        early: list[bytes] = []
        while body.total_bytes > self._got:
            early.append(body.read_nowait())
            self._got += len(early[-1])
        tap = line.tap(self.length - self._got)
        try:
            if early:
                await sink.append(early)
            while not tap.over and not line.gone() and body.exception() is None:
                await self._turn(tap, sink)
        finally:
            line.untap(tap)

    async def _turn(self, tap: Tap, sink: Sink) -> None:
        """A thread reads, and the loop waits for a client who has nothing to send just now."""
        line, missed, waited = self._line, tap.missed, tap.waited
        try:
            await sink.draw(tap)
            if tap.dry:
                line.reading_since = time.monotonic()
                await tap.readable()
        finally:
            line.reading_since = 0.0
            self._got += tap.missed - missed
            line.pace.counted += tap.missed - missed
            line.pace.waited += tap.waited - waited
            if not tap.over:
                line.hasten()

    def _welcome(self) -> None:
        if self._more:
            self._more = False
            if self._body.total_bytes == 0:
                self._line.say_continue()

    async def body(self, limit: int) -> bytes:
        """The whole body, of at most ``limit`` bytes.

        Raises TooLarge before anything is read when the announced length is beyond the limit, or as soon as a
        chunked body is; Gone and TimeoutError as :meth:`chunks`.
        """
        if self.length is not None and self.length > limit:
            raise TooLarge
        pieces: list[bytes] = []
        size = 0
        while more := await self.chunks():
            pieces += more
            size += sum(map(len, more))
            if size > limit:
                raise TooLarge
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def stalled(self) -> bool:
        """Whether the body was given up because it came too slowly."""
        return isinstance(self._body.exception(), TimeoutError)

    def gone(self) -> bool:
        """Whether the client has left (a handler is not cancelled then: long work asks this between steps)."""
        return self._line.gone()

    def abort(self) -> None:
        """Cut the connection now; nothing more is sent."""
        self._line.cut()


Handler: TypeAlias = Callable[[Ask], Awaitable[AnyAnswer]]
