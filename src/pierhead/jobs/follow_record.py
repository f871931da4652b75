"""Those who follow the record wait here: one look at the database for all of them, four times a second while there are
any, so that what other processes write is seen too."""

from __future__ import annotations

import asyncio
import contextlib

from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.ports.metadata.audit import EventFilter, EventRow, RecordHead
from pierhead.ports.metadata.store import Store


class Tail:
    """Of one process."""

    def __init__(self, store: Store) -> None:
        self._over = False
        self.last = 0
        """The newest number that was seen."""
        self._store = store
        self._moved = asyncio.Event()
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None

    async def head(self) -> RecordHead:
        """Where the record stands."""
        return await self._store.report(lambda reports: reports.record_head())

    async def after(self, wanted: EventFilter, seq: int, limit: int) -> tuple[list[EventRow], int]:
        """See ``Reports.events_after``."""
        found, looked = await self._store.report(lambda reports: reports.events_after(wanted, seq, limit))
        return list(found), looked

    async def wait_beyond(self, seq: int, seconds: float) -> None:
        """Returns when the record has grown beyond ``seq``, when ``seconds`` are over, or at the end."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._look_for_ever())
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while not self._over and self.last <= seq:
                    await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1

    def over(self) -> bool:
        """Whether the process takes leave of its clients."""
        return self._over

    def end(self) -> None:
        """Lets everybody go."""
        self._over = True
        self._moved.set()
        if self._task is not None:
            self._task.cancel()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(limits.AUDIT_POLL_SECONDS)
            if not self._waiting:
                continue
            with contextlib.suppress(TimeoutError, Unavailable):
                head = (await self.head()).seq
                if head > self.last:
                    self.last = head
                    self._moved.set()
                    self._moved = asyncio.Event()
