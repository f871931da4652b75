"""What the task of a connection waits for between two requests."""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context


class Turn:
    """Like a future that is used again and again, but :meth:`come` runs the task at once, inside the call.

    An ordinary future wakes its task in the next round of the event loop, which costs a small request as much as a
    look-up in the database. The task notices no difference: it is the same one, in its own context. The names are
    those that ``asyncio.Task`` uses of whatever is awaited (``asyncio.isfuture`` describes this way of being one).
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_context", "_loop", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wake: Callable[[Turn], object] | None = None
        self._context: Context | None = None
        self._asyncio_future_blocking = False
        self._cancelled = False

    def __await__(self) -> Generator["Turn", None, None]:
        self._cancelled = False
        self._asyncio_future_blocking = True
        yield self

    @property
    def awaited(self) -> bool:
        """Whether a task waits here."""
        return self._wake is not None

    def come(self) -> None:
        """Let the task run until it waits for something again: now, or in the next round of the loop when another
        task is running, since tasks cannot run inside each other."""
        wake, context = self._wake, self._context
        if wake is None or context is None:
            return
        self._wake = None
        if asyncio.current_task(self._loop) is None:
            context.run(wake, self)
        else:
            self._loop.call_soon(wake, self, context=context)

    def cancel(self, msg: object = None) -> bool:
        """End the wait with CancelledError, in the next round of the loop; False when nobody waits."""
        wake, self._wake = self._wake, None
        if wake is None:
            return False
        self._cancelled = True
        self._loop.call_soon(wake, self, context=self._context)
        return True

    # For the task

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, wake: Callable[["Turn"], object], *, context: Context) -> None:
        self._wake = wake
        self._context = context

    def result(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
