"""Where log lines go: a thread writes them, so that a full pipe or a slow disk holds up nobody.

What does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Iterator
from typing import Final

QUEUE_BYTES_MAX: Final = 4 << 20
# Writes of at most this many bytes to a pipe are not mixed with those of other processes (POSIX, PIPE_BUF).
_PIPE_BYTES: Final = 4096


class Sink:
    """Takes whole lines from any thread; ``put`` never waits and never raises."""

    def __init__(self, fd: int, name: str) -> None:
        """``fd`` stays the caller's."""
        self.dropped = 0
        """Lines that were not written, since the queue was full or the write failed."""
        self._fd = fd
        self._queue: queue.SimpleQueue[tuple[bytes, int] | threading.Event | None] = queue.SimpleQueue()
        self._queued = 0
        self._closed = False
        self._step = _PIPE_BYTES if _is_pipe(fd) else 1 << 20
        self._thread = threading.Thread(target=self._run, name=f"log {name}", daemon=True)
        self._thread.start()

    def put(self, data: bytes, lines: int = 1) -> None:
        """``data`` are ``lines`` whole lines."""
        if self._closed or self._queued + len(data) > QUEUE_BYTES_MAX:
            self.dropped += lines
            return
        self._queued += len(data)
        self._queue.put((data, lines))

    def flush(self, seconds: float = 2.0) -> None:
        """Waits until what is queued now is written, for at most ``seconds``."""
        if not self._closed:
            written = threading.Event()
            self._queue.put(written)
            written.wait(seconds)

    def close(self, seconds: float = 2.0) -> None:
        """Writes what is queued, for at most ``seconds``: a reader that has stopped reading is not waited for."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            if isinstance(entry, threading.Event):
                entry.set()
                continue
            data, lines = entry
            try:
                for part in _parts(data, self._step):
                    _write(self._fd, part)
            except OSError:
                self.dropped += lines
            finally:
                self._queued -= len(data)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _parts(data: bytes, step: int) -> Iterator[bytes]:
    """``data`` in parts of whole lines of at most ``step`` bytes together; a longer line is a part of its own."""
    at = 0
    while at < len(data):
        end = at + step
        if end < len(data):
            cut = data.rfind(b"\n", at, end) + 1
            end = cut if cut > at else data.find(b"\n", end) + 1 or len(data)
        yield data[at:end]
        at = end


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
