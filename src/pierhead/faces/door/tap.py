"""Bodies that a worker thread reads straight from the socket, past the HTTP server.

Between the kernel and a handler the server copies a body three times: into the loop's buffer, into ``bytes``, and out
of its parser; and each piece wakes the loop, which takes turns with the thread that hashes. A tap leaves out all of
that: the transport rests while the thread reads. If it met the end of the body, a new parser reads what stands behind.
If the server has to read on in the body, its parser is given as many zeros as it missed bytes: it counts the bytes of a
body and looks at none, so it knows where the body ends.
"""

import os
import select
import socket
from time import monotonic
from typing import Final

ZEROS: Final = bytes(256 << 10)
# How long a thread waits for a client altogether, in seconds, before somebody else has its turn.
PATIENCE_SECONDS: Final = 0.02
# A thread that waits is woken when so much has come (SO_RCVLOWAT, socket(7)): a waking costs as much as a small read.
WORTH_WAKING_BYTES: Final = 512 << 10


class Tap:
    """The rest of one body, for one thread at a time. Never reads behind the end of the body."""

    __slots__ = ("_handle", "_patience", "_poll", "_socket", "left", "missed", "waited")

    def __init__(self, handle: int, left: int) -> None:
        """``handle`` is the descriptor of a socket that does not block, closed by :meth:`close`; -1 if nothing can be
        read. ``left`` is the length of the rest in bytes."""
        self._handle = handle
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, handle) if handle >= 0 else None
        self._patience = PATIENCE_SECONDS
        self._poll: select.poll | None = None
        self.left = left
        self.missed = 0
        """Bytes that were read past the server."""
        self.waited = 0.0
        """Seconds in which none came."""

    def read_into(self, view: memoryview) -> int:
        """Fills ``view`` as far as bytes are there or come in a moment, and returns how many. Blocks, briefly.

        Fewer than fit: the body or the connection has ended, or the client is slow, and the loop waits more cheaply.
        """
        got = 0
        while got < len(view) and self.left:
            try:
                count = os.readv(self._handle, [view[got : got + self.left]])
            except BlockingIOError:
                if self._more_comes(len(view) - got):
                    continue
                break
            except OSError:
                break  # the loop meets the same, and knows what to make of it
            if count == 0:
                break
            got += count
            self.missed += count
            self.left -= count
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

    def _wake_at(self, count: int) -> None:
        """The loop waits on the same socket afterwards, so :meth:`close` sets it back to one byte."""
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def close(self) -> None:
        """No thread reads any more."""
        if self._socket is not None:
            self._wake_at(1)
            self._socket.close()
