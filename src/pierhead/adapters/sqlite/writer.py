"""One connection that writes: it takes what is queued, runs each as a savepoint of one transaction, and answers all
after one sync. It never waits for company: the sync in progress is the wait.

What is brief runs on the loop, and only the commit, which waits for the disk, is the thread's. Each statement that the
thread runs takes Python's lock twice from a loop that wants it too; a commit takes it once (decision 0034). Everything
else, and whatever has to wait for others, runs in the thread from its begin to its commit.

Several processes take turns by ``flock`` on a file beside the database, which the kernel frees when one dies; nothing
is run on their loops.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import apsw
from msgspec import Struct

from pierhead.adapters.sqlite.connect import connect
from pierhead.adapters.sqlite.reserve import ROOM_TIMES, Reserve
from pierhead.adapters.sqlite.rows import Transaction
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock
from pierhead.ports.faults import FaultPoint, Faults
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event

T = TypeVar("T")

_IDLE_SECONDS: Final = 1.0
_PATIENCE_MS: Final = 5_000
_log = logging.getLogger("pierhead")
_BUSY: Final = (apsw.BusyError, apsw.LockedError)


class _Operation(Struct, Generic[T]):
    fn: Callable[[Tx], T]
    durable: bool
    brief: bool
    future: asyncio.Future[T] | None
    vital: bool = False
    result: T | None = None
    error: BaseException | None = None


class Writer:
    """Owns the only connection that writes. Made on the event loop that its answers go to.

    The connection belongs to the loop and to the thread by turns: whoever finds ``_busy`` set leaves it alone, and a
    job of the thread ends with the call that gives it back.
    """

    def __init__(self, path: Path, clock: Clock, faults: Faults, reserve: Reserve, *, shared: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Operation[Any]] = deque()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._connection = connect(path, writable=True)
        self._tx = Transaction(self._connection, clock)
        self._faults = faults
        self._turn = os.open(path.with_suffix(".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if shared else -1
        self.reserve = reserve
        self._disk_full = False
        self._full_sync = True
        self._log_pages = 0
        self._busy = False
        self._idle_timer: asyncio.TimerHandle | None = None
        self.patience_ms = _PATIENCE_MS
        """How long the thread waits for another process that writes; the loop does not."""
        self.failed: str | None = None
        self.shared = shared
        self.commits = 0
        """How many groups were committed, or may have been; moves on before anybody is told."""
        self.counted = (0, 0)
        """Commits, and operations in them."""
        self._closed = False
        self._drained = asyncio.Event()
        self._connection.set_wal_hook(self._note_log)
        self._connection.set_busy_timeout(0)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[Tx], T], durable: bool, brief: bool, vital: bool) -> asyncio.Future[T]:
        """Queues ``fn``; the future has its result once that is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("The program is ending. Try again.", retry_after=5))
            return future
        if self.failed is not None:
            future.set_exception(Unavailable(self.failed, retry_after=30))
            return future
        self._waiting.append(_Operation(fn, durable, brief and not (vital or self.shared), future, vital))
        if not self._busy:
            # Not at once: whoever else has something to write in this round of the loop joins the group.
            self._busy = True
            self._loop.call_soon(self._next)
        return future

    async def close(self) -> None:
        """Finishes what is queued, checkpoints, and closes."""
        self._closed = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if not self._busy:
            self._drained.set()
        await self._drained.wait()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- on the loop -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begins the next group, if somebody waits. The connection is the loop's until a job is handed over."""
        if not self._waiting:
            self._busy = False
            if self._closed:
                self._drained.set()
            elif self._log_pages and self._idle_timer is None:
                self._idle_timer = self._loop.call_later(_IDLE_SECONDS, self._idle, self.commits)
            return
        waiting = self._waiting
        if self.failed is not None:
            batch = list(waiting)
            waiting.clear()
            _fail(batch, Unavailable(self.failed, retry_after=30))
            self._answered(batch)
            return
        brief = not self.reserve.away and all(operation.brief for operation in islice(waiting, limits.BRIEF_GROUP_MAX))
        most = limits.BRIEF_GROUP_MAX if brief else limits.WRITE_GROUP_MAX
        batch = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        if not brief:
            self._jobs.put(partial(self._whole, batch))
            return
        try:
            sound = self._attempt(batch, self._statements)
        except _BUSY:  # another process writes, such as `pierhead admin reset-password`
            self._jobs.put(partial(self._whole, batch))
            return
        if sound:
            self._jobs.put(partial(self._seal, batch))
        else:
            self._loop.call_soon(self._answered, batch)

    def _answered(self, batch: Sequence[_Operation[Any]]) -> None:
        _deliver(batch)
        self._next()

    def _idle(self, commits: int) -> None:
        """Nothing was written for a while: a good time to take in the log."""
        self._idle_timer = None
        if self._busy or self._closed:
            return
        if commits != self.commits:
            self._idle_timer = self._loop.call_later(_IDLE_SECONDS, self._idle, self.commits)
            return
        self._busy = True
        self._jobs.put(self._rest)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._checkpoint()
        self._connection.close()

    def _whole(self, batch: Sequence[_Operation[Any]]) -> None:
        if self._turn >= 0:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            self.reserve.look()
        try:
            self._connection.set_busy_timeout(self.patience_ms)
            taken = [operation for operation in batch if operation.vital] if self.reserve.away else batch
            if len(taken) < len(batch):
                _fail([operation for operation in batch if not operation.vital], _no_room())
            if taken and not self._both(taken) and self._disk_full:
                self._with_the_reserve([operation for operation in taken if operation.vital])
        except _BUSY:
            _fail(batch, Unavailable("Another process keeps the database busy. Try again.", retry_after=5))
        finally:
            self._connection.set_busy_timeout(0)
            if self._turn >= 0:
                fcntl.flock(self._turn, fcntl.LOCK_UN)
        self._hand_back(batch)

    def _both(self, batch: Sequence[_Operation[Any]]) -> bool:
        return self._attempt(batch, self._statements) and self._attempt(batch, self._commit)

    def _with_the_reserve(self, vital: list[_Operation[Any]]) -> None:
        """Tries again what found the disk full, if there is space that can be given up for it."""
        if not vital or not self.reserve.give_up():
            return
        for operation in vital:
            operation.error = None
        self._both([*vital, _Operation(lambda tx: tell_given_up(tx, self.reserve), True, False, None)])

    def _seal(self, batch: Sequence[_Operation[Any]]) -> None:
        self._attempt(batch, self._commit)
        self._hand_back(batch)

    def _hand_back(self, batch: Sequence[_Operation[Any]]) -> None:
        self.commits += 1
        if self._log_pages < limits.WAL_CHECKPOINT_PAGES:
            self._loop.call_soon_threadsafe(self._answered, batch)
            return
        self._loop.call_soon_threadsafe(_deliver, batch)  # nobody waits for the log to be taken in
        self._rest()

    def _rest(self) -> None:
        self._checkpoint()
        self._loop.call_soon_threadsafe(self._next)

    # --- on either ---------------------------------------------------------------------------------------------------

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _attempt(self, batch: Sequence[_Operation[Any]], step: Callable[[Sequence[_Operation[Any]]], None]) -> bool:
        """False if the group was undone, and each of it knows why. Raises one of _BUSY if nothing could be begun."""
        self._disk_full = False
        try:
            step(batch)
        except _BUSY:
            self._roll_back()
            raise
        except apsw.FullError:
            self._roll_back()
            self._disk_full = True
            _fail(batch, _no_room())
        except Exception as error:
            # Whatever it was, nobody may wait for ever.
            self._roll_back()
            self.failed = f"The database could not be written ({type(error).__name__}). Writes stop until a restart."
            _fail(batch, Unavailable(self.failed, retry_after=30))
        else:
            return True
        return False

    def _statements(self, batch: Sequence[_Operation[Any]]) -> None:
        full = any(operation.durable for operation in batch)
        execute = self._connection.execute
        if full is not self._full_sync:
            execute("PRAGMA synchronous=FULL" if full else "PRAGMA synchronous=NORMAL").fetchall()
            self._full_sync = full
        execute("BEGIN IMMEDIATE")
        self._tx.begin()
        self._faults.hit(FaultPoint.GROUP_BEGUN)
        for operation in batch:
            execute("SAVEPOINT one")
            mark = self._tx.mark()
            try:
                operation.result = operation.fn(self._tx)
            except (apsw.FullError, apsw.IOError):
                raise
            except BaseException as error:
                operation.error = error
                execute("ROLLBACK TO one")
                self._tx.reset(mark)
            execute("RELEASE one")

    def _commit(self, batch: Sequence[_Operation[Any]]) -> None:
        self._faults.hit(FaultPoint.GROUP_DONE)
        self._connection.execute("COMMIT")
        self.counted = (self.counted[0] + 1, self.counted[1] + len(batch))
        self._faults.hit(FaultPoint.GROUP_COMMITTED)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                pass

    def _checkpoint(self) -> None:
        if self._log_pages == 0 or self.failed is not None:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            return
        self._log_pages = 0


def tell_given_up(tx: Tx, reserve: Reserve) -> None:
    """To the record and to the log, in the first transaction that has what was set aside."""
    size = reserve.size
    _log.warning(
        "The disk is full. A reserve of %d MiB is given up for what frees space; until %d MiB are free, everything "
        "else is refused.",
        size >> 20,
        ROOM_TIMES * size >> 20,
    )
    tx.events.append(None, Event("reserve", "pierhead", {"state": "given up", "bytes": size}))


def _no_room() -> Unavailable:
    return Unavailable("The disk is full: pushes are refused, pulls work. Free space.", retry_after=30)


def _fail(batch: Sequence[_Operation[Any]], error: BaseException) -> None:
    for operation in batch:
        operation.error = error


def _deliver(batch: Sequence[_Operation[Any]]) -> None:
    for operation in batch:
        if operation.future is None or operation.future.done():
            continue
        if operation.error is not None:
            operation.future.set_exception(operation.error)
        else:
            operation.future.set_result(operation.result)
