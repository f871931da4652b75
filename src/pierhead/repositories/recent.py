"""What is worth remembering for a moment, and work that many ask for at once: both bounded, both of one process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from pierhead.ports.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values that are forgotten after ``seconds``, and the oldest as soon as there are more than ``most``."""

    def __init__(self, clock: Clock, seconds: float, most: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is young enough."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] <= self._clock.monotonic():
            del self._kept[key]
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Remembers a value from now on."""
        if self._seconds <= 0:
            return
        self._kept[key] = (self._clock.monotonic() + self._seconds, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forgets one value."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


class Flights(Generic[K, V]):
    """Work that is done once for all who want the same at the same time.

    It belongs to none of them: whoever goes away leaves it to the others. ``close`` ends what is under way.
    """

    def __init__(self) -> None:
        self._flying: dict[K, asyncio.Task[V]] = {}

    async def once(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The result of ``work``, or of the same work that is under way. Raises what it raises."""
        task = self._flying.get(key)
        if task is None:
            task = asyncio.create_task(_run(work))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends all work; who waits for it is cancelled."""
        flying = list(self._flying.values())
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)

    def _landed(self, key: K, task: asyncio.Task[V]) -> None:
        self._flying.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, as everybody who waited for it may have gone


async def _run(work: Callable[[], Awaitable[V]]) -> V:
    return await work()
