"""A queue before an upstream: so many at once, the others in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from pierhead.adapters.upstream.troubles import Trouble


class Turn:
    """A turn that was waited for, and ends once however often it is left."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile: Turnstile | None = turnstile

    def leave(self) -> None:
        """Ends it."""
        turnstile, self._turnstile = self._turnstile, None
        if turnstile is not None:
            turnstile.leave()


class Turnstile:
    """Fair, and emptied at once when waiting has no point any more."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._size = size
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def inside(self) -> int:
        return self._size - self._free

    @property
    def waiting(self) -> int:
        return sum(not future.done() for future in self._waiting)

    async def enter(self, seconds: float) -> None:
        """Waits for a turn, which ends with ``leave``. Raises Trouble after ``seconds``, or what ``dismiss`` makes."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as fault:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the turn came in the same moment as the end of the patience
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(fault, TimeoutError):
                reason = f"the queue did not move for {seconds:g} s"
                raise Trouble(f"is asked by too many at once ({reason})", kind="slow", reason=reason) from None
            raise

    def leave(self) -> None:
        """Ends a turn; the next in the queue has it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def dismiss(self, fault: Callable[[], Exception]) -> None:
        """Lets all who wait go, each with a fault of its own."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(fault())
