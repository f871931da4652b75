"""What every file of this adapter stands on: threads for whatever may wait for the disk, and the store's health."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from msgspec import Struct

from pierhead.adapters.files.layout import Layout
from pierhead.domain import limits
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.faults import Faults

P = ParamSpec("P")
T = TypeVar("T")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Hands:
    """Two pools of threads, so that hashing an old upload anew or a scan never keeps a push waiting."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(limits.BLOB_THREADS, thread_name_prefix="blobs")
        self._slow = ThreadPoolExecutor(limits.BLOB_SWEEP_THREADS, thread_name_prefix="blobs-sweep")
        self._batches = asyncio.Semaphore(limits.BATCHES_IN_FLIGHT_MAX)
        self._draws = asyncio.Semaphore(limits.DRAWS_AT_ONCE_MAX)
        self._buffers: list[bytearray] = []

    async def quick(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs ``work`` in a thread: a batch, a sync, a few names."""
        return await _settled(self._quick, lambda: work(*args, **kwargs))

    async def batch(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``quick``, within the budget of batches in memory that all pushes and fills share."""
        async with self._batches:
            return await _settled(self._quick, lambda: work(*args, **kwargs))

    async def draw(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``quick`` for work that reads from a client, which may take all but a few of the threads."""
        async with self._draws:
            return await _settled(self._quick, lambda: work(*args, **kwargs))

    def buffer(self) -> bytearray:
        """Memory for one thread, until ``take_back``. There are never more of these than draws at once."""
        try:
            return self._buffers.pop()
        except IndexError:
            return bytearray(limits.DRAW_BUFFER_BYTES)

    def take_back(self, buffer: bytearray) -> None:
        """A list's ``append`` and ``pop`` need no lock."""
        self._buffers.append(buffer)

    async def slow(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs ``work`` in one of the few threads for what takes long."""
        return await _settled(self._slow, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Waits for what is running."""
        self._quick.shutdown()
        self._slow.shutdown()


async def _settled(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """A caller who is cancelled waits too: the thread still uses the descriptor that he would close next."""
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not report it as forgotten
        raise


class Health:
    """Whether the disk may be trusted with writes.

    After an I/O error the kernel may have dropped pages that it calls clean (USENIX ATC 2020, Rebello), so nothing is
    written any more until the program has been started, and has tried the folder out, again. Reads go on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reason: str | None = None
        self.since: int | None = None
        """Microseconds since 1970."""
        self.crowded: Callable[[], bool] = lambda: False
        """Whether the disk is full, and what is free of it is for others."""

    def check(self) -> None:
        """Raises StoreFailed if the disk has failed, or is full."""
        if self.crowded():
            raise StoreFailed("what is free of the disk is for what frees space", full=True)
        if self.reason is not None:
            raise StoreFailed(f"nothing is written until a restart: {self.reason}")

    def failure(self, error: OSError, doing: str) -> StoreFailed:
        """What to raise for ``error``; remembers it if the disk can no longer be trusted."""
        message = f"{doing}: {error.strerror or error}"
        if error.errno == errno.EIO and self.reason is None:
            self.reason, self.since = message, self._clock.now()
        return StoreFailed(message, full=error.errno in _FULL)


class Ground(Struct, frozen=True):
    """Handed to everything in this folder."""

    layout: Layout
    hands: Hands
    health: Health
    entropy: Entropy
    faults: Faults
    inline_max: int
    """Bytes up to which a blob is given to the row instead of a file."""

    def generation(self) -> str:
        """Made anew for each landing: 16 hexadecimal digits."""
        return self.entropy.token(8).hex()
