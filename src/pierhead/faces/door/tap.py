"""Bodies that a worker thread reads straight from the socket, past the HTTP server.

Between the kernel and a handler the server copies a body three times: into the loop's buffer, into ``bytes``, and out
of its parser; and each piece wakes the loop, which takes turns with the thread that hashes. A tap leaves out all of
that: the transport rests while the thread reads. For a client who pauses the loop waits, which wakes a thread once
there is something worth reading. If the thread met the end of the body, a new parser reads what stands behind. If the
server has to read on in the body, its parser is given as many zeros as it missed bytes: it counts the bytes of a body
and looks at none, so it knows where the body ends.
"""

import asyncio
import contextlib
import os
import select
import socket
from time import monotonic
from typing import Final

from pierhead.faces.door.queues import unread

ZEROS: Final = bytes(256 << 10)
# How long a thread waits for a client in one turn altogether, in seconds, before somebody else has its turn.
PATIENCE_SECONDS: Final = 0.02
# A client who brings so much in one turn is one for whom a thread may wait; for others the loop does, more cheaply.
QUICK_BYTES: Final = 1 << 20
# Whoever waits is woken when so much has come (SO_RCVLOWAT, socket(7)): a waking costs as much as a small read.
WORTH_WAKING_BYTES: Final = 512 << 10
# What comes more slowly than that is read so often.
SLOW_SECONDS: Final = 0.25


class Tap:
    """The rest of one body, for one thread at a time. Never reads behind the end of the body."""

    __slots__ = (
        "_awake",
        "_handle",
        "_patience",
        "_poll",
        "_since",
        "_socket",
        "dry",
        "left",
        "missed",
        "over",
        "waited",
    )

    def __init__(self, handle: int, left: int) -> None:
        """``handle`` is the descriptor of a socket that does not block, closed by :meth:`close`; -1 if nothing can be
        read. ``left`` is the length of the rest in bytes."""
        self._handle = handle
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, handle) if handle >= 0 else None
        self._patience = PATIENCE_SECONDS
        self._poll: select.poll | None = None
        self._since = 0  # what had been missed when the loop last waited
        self._awake: asyncio.Event | None = None
        self.left = left
        self.missed = 0
        """Bytes that were read past the server."""
        self.over = left == 0
        """Whether nothing more can be read here, at the end of the body or of the connection."""
        self.dry = False
        """Whether the last reading ended because the client had nothing to send."""
        self.waited = 0.0
        """Seconds in which none came."""

    def read_into(self, view: memoryview) -> int:
        """Fills ``view`` as far as bytes are there or come in a moment, and returns how many. Blocks, briefly.

        Fewer than fit: the body or the connection has ended, or the client is slow, and the loop waits more cheaply.
        """
        got = 0
        self.dry = False
        while got < len(view) and self.left:
            try:
                count = os.readv(self._handle, [view[got : got + self.left]])
            except BlockingIOError:
                if self._more_comes(len(view) - got):
                    continue
                self.dry = True
                break
            except OSError:
                self.over = True  # the loop meets the same, and knows what to make of it
                break
            if count == 0:
                self.over = True
                break
            got += count
            self.missed += count
            self.left -= count
        self.over = self.over or self.left == 0
        return got

    def _more_comes(self, wanted: int) -> bool:
        if self._patience <= 0:
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._handle, select.POLLIN)
        self._wake_at(min(wanted, self.left, WORTH_WAKING_BYTES))
        since = monotonic()
        self._poll.poll(self._patience * 1000)
        waited = monotonic() - since
        self._patience -= waited
        self.waited += waited
        return True  # also if too few have come: they are read, and then its patience is over

    async def readable(self) -> None:
        """Waits in the loop until a turn of a thread is worth it: much has come, or little and some time has passed,
        or the connection has ended. Also returns when it is told to :meth:`stir`."""
        quick = self.missed - self._since >= QUICK_BYTES
        self._patience, self._since = PATIENCE_SECONDS if quick else 0.0, self.missed
        self._wake_at(min(self.left, WORTH_WAKING_BYTES))
        loop = asyncio.get_running_loop()
        self._awake = awake = asyncio.Event()
        since = monotonic()
        loop.add_reader(self._handle, awake.set)
        try:
            while not awake.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SLOW_SECONDS):
                        await awake.wait()
                if self._socket is None or unread(self._socket):
                    break
        finally:
            loop.remove_reader(self._handle)
            self._awake = None
            self.waited += monotonic() - since

    def stir(self) -> None:
        """Whoever waits in the loop need not: the connection is gone, or was given up."""
        if self._awake is not None:
            self._awake.set()

    def _wake_at(self, count: int) -> None:
        """The loop waits on the same socket afterwards, so :meth:`close` sets it back to one byte."""
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def close(self) -> None:
        """No thread reads any more."""
        if self._socket is not None:
            self._wake_at(1)
            self._socket.close()
