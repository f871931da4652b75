"""What is told of requests that write nothing (logins, refusals, pulls) gets into the record without holding them up.

Events are queued and written together, soon after. The queue is bounded, and so is what a flood can add to it: the
first of many like events is told at once, the others of the same minute are one row with their number. What found no
place is counted, and the record says how many there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Hashable, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from pierhead.commits.audit import Happened, record_happened
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Idle, Outcome, Worked
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.audit import RecordHead
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import Event

JOB: Final = "record head"
_RETRY_SECONDS: Final = 1.0
_RETRY_SECONDS_MAX: Final = 30.0
_SECOND: Final = 1_000_000

log = logging.getLogger("pierhead")


class _Repeat(Struct):
    """``times`` counts those that were not told one by one."""

    kind: str
    account: str
    body: Mapping[str, object]
    times: int = 0


class Recorder:
    """Of one process; all calls come from its event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.lost = 0
        """Events that are in no record: the queue was full, or the database took no writes until the end."""
        self._store = store
        self._clock = clock
        self._queue: deque[Happened] = deque()
        self._untold = 0
        self._repeats: dict[Hashable, _Repeat] = {}
        self._window: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, kind: str, account: str, body: Mapping[str, object]) -> None:
        """Queues an event; never waits, never raises."""
        if self._closed or len(self._queue) >= limits.AUDIT_QUEUED_MAX:
            self.lost += 1
            self._untold += 1
            return
        self._queue.append(Happened(self._clock.now(), Event(kind, account, body)))
        self._wake.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._write_for_ever())

    def put_repeated(self, key: Hashable, kind: str, account: str, body: Mapping[str, object]) -> None:
        """The same for what a client may cause again and again: the first of ``key`` is told now, the others of the
        minute at its end, as one row with ``times``. Beyond 500 keys in a minute the rest of a kind is one row."""
        found = self._repeats.get((kind, key))
        if found is not None:
            found.times += 1
            return
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(limits.AUDIT_WINDOW_SECONDS, self._end_window)
        if len(self._repeats) >= limits.AUDIT_REPEATS_MAX:
            self._repeats.setdefault((kind,), _Repeat(kind, "", {"others": True})).times += 1
            return
        self._repeats[(kind, key)] = _Repeat(kind, account, body)
        self.put(kind, account, body)

    def _end_window(self) -> None:
        self._window = None
        repeats, self._repeats = self._repeats, {}
        for one in repeats.values():
            if one.times:
                self.put(one.kind, one.account, {**one.body, "times": one.times})

    async def close(self) -> None:
        """Writes what is queued, if the database takes it, and takes no more."""
        if self._window is not None:
            self._window.cancel()
        self._end_window()
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while (self._queue or self._untold) and await self._write_some():
            pass
        if self._queue:
            self.lost += len(self._queue)
            log.error("%d events could not be written to the record: the database took no writes.", len(self._queue))
        with contextlib.suppress(TimeoutError):
            log.info("The record of events stands at %s.", await self._store.report(lambda one: one.record_head()))

    async def _write_for_ever(self) -> None:
        pause = _RETRY_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(limits.AUDIT_GATHER_SECONDS)
            while self._queue or self._untold:
                if await self._write_some():
                    pause = _RETRY_SECONDS
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _RETRY_SECONDS_MAX)

    async def _write_some(self) -> bool:
        """One batch. False if the database takes none now; the events stay queued then. A batch whose commit nobody can
        vouch for is kept too: twice in the record is better than not at all."""
        batch, lost = list(islice(self._queue, limits.AUDIT_BATCH_ROWS)), self._untold
        writing = asyncio.ensure_future(self._store.write(lambda tx: record_happened(tx, batch, lost), durable=False))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            if writing.exception() is None:
                self._done(len(batch), lost)
            raise
        except Unavailable:
            return False
        except Exception as error:
            # A fault of ours, which would come again: these events are given up, and those behind them are not.
            log.error("%d events could not be written to the record: %s", len(batch), type(error).__name__)
            self.lost += len(batch)
        self._done(len(batch), lost)
        return True

    def _done(self, rows: int, lost: int) -> None:
        for _ in range(rows):
            self._queue.popleft()
        self._untold -= lost


class TellHead:
    """A step of a loop: says in the server's log where the record stands, so that a copy of the log shows what was cut
    off it or made anew. Every 1,000 rows, or every minute in which there was one."""

    def __init__(self, store: Store, clock: Clock, holder: str) -> None:
        self.store = store
        self.clock = clock
        self.holder = holder
        self._told = RecordHead(-1, b"")
        self._told_at = float("-inf")

    async def __call__(self) -> Outcome:
        """Reads one row; of several processes one tells."""
        try:
            head = await self.store.report(lambda reports: reports.record_head())
        except TimeoutError:
            return Idle()
        now = self.clock.monotonic()
        rested = now - self._told_at >= limits.AUDIT_HEAD_SECONDS
        if head == self._told or not (rested or head.seq - self._told.seq >= limits.AUDIT_HEAD_ROWS):
            return Idle()
        try:
            mine = await self.store.write(
                lambda tx: tx.jobs.take(JOB, self.holder, tx.now + limits.AUDIT_HEAD_SECONDS * _SECOND), durable=False
            )
        except Unavailable:
            return Idle()
        self._told, self._told_at = head, now
        return Worked(f"the record of events stands at {head}") if mine else Idle()
