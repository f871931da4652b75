"""How much is stored, and how much room is left; added up at most every few seconds, however often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain.names import RepositoryName
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import Totals

FRESH_SECONDS: Final = 15.0
_REST: Final = 20
"""Times as long as a measurement took, at least, pass before the next: counting costs little however much there is."""


class Disk(Struct, frozen=True):
    """Bytes of the file system that holds the data folder; ``available`` to this account. ``reserve`` is what is set
    aside for deletions on a full disk, ``given_up`` whether that is in use."""

    total: int
    available: int
    reserve: int = 0
    given_up: bool = False


class Storage(Struct, frozen=True):
    """``sizes`` are (images, bytes) by repository, None if they could not be added up in time. ``at`` is when."""

    totals: Totals
    sizes: Mapping[RepositoryName, tuple[int, int]] | None
    disk: Disk | None
    at: int


class StorageGauge:
    """Remembers the last measurement; those who ask while one is under way wait for it."""

    def __init__(
        self, store: Store, clock: Clock, disk: Callable[[], Disk | None], begun: Callable[[], int] = lambda: 0
    ) -> None:
        """``disk`` is called in a worker thread; ``begun`` says how many upload sessions have no row yet."""
        self._begun = begun
        self._store = store
        self._clock = clock
        self._disk = disk
        self._last: Storage | None = None
        self._until = 0.0
        self._under_way: asyncio.Future[Storage] | None = None

    async def read(self) -> Storage:
        """Not older than fifteen seconds, or more where counting is slow. Raises TimeoutError when it is too slow."""
        if self._clock.monotonic() < self._until:
            if self._last is None:
                raise TimeoutError("counting took too long a moment ago")
            return self._last
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._measure())
            self._under_way.add_done_callback(self._done)
        return await asyncio.shield(self._under_way)

    def _done(self, future: asyncio.Future[Storage]) -> None:
        self._under_way = None
        if not future.cancelled():
            future.exception()  # told to those who wait; if nobody does any more, nobody has to be told

    async def _measure(self) -> Storage:
        begun = self._clock.monotonic()
        try:
            self._last = await self._counted()
        finally:
            ended = self._clock.monotonic()
            self._until = ended + max(FRESH_SECONDS, _REST * (ended - begun))
        return self._last

    async def _counted(self) -> Storage:
        totals = await self._store.report(lambda reports: reports.totals())
        sizes: Mapping[RepositoryName, tuple[int, int]] | None
        try:
            listed = await self._store.report(lambda reports: reports.repository_sizes())
            sizes = {name: (images, size) for name, images, size in listed}
        except TimeoutError:
            sizes = None if self._last is None else self._last.sizes
        disk = await asyncio.to_thread(self._disk)
        totals = replace(totals, uploads=totals.uploads + self._begun())
        return Storage(totals, sizes, disk, self._clock.now())
