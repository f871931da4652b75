"""One thread that writes: it takes what is queued, runs each as a savepoint of one transaction, and answers all after
one sync. It never waits for company: the sync in progress is the wait.

Several processes take turns by ``flock`` on a file beside the database, which the kernel frees when one dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from pierhead.adapters.sqlite.connect import connect
from pierhead.adapters.sqlite.rows import Transaction
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock
from pierhead.ports.faults import FaultPoint, Faults
from pierhead.ports.metadata.store import Tx

T = TypeVar("T")

_IDLE_SECONDS = 1.0


@dataclass(slots=True)
class _Operation(Generic[T]):
    fn: Callable[[Tx], T]
    durable: bool
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None


class Writer:
    """Owns the only connection that writes. Made on the event loop that its answers go to."""

    def __init__(self, path: Path, clock: Clock, faults: Faults, *, shared: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Operation[Any] | None] = queue.SimpleQueue()
        self._connection = connect(path, writable=True)
        self._tx = Transaction(self._connection, clock)
        self._faults = faults
        self._turn = os.open(path.with_suffix(".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if shared else -1
        self._full_sync = True
        self._log_pages = 0
        self.failed: str | None = None
        self.shared = shared
        self.commits = 0
        """How many groups were committed, or may have been; moves on before anybody is told."""
        self.counted = (0, 0)
        """Commits, and operations in them."""
        self._closed = False
        self._connection.set_wal_hook(self._note_log)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[Tx], T], durable: bool) -> asyncio.Future[T]:
        """Queues ``fn``; the future has its result once that is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("The program is ending. Try again.", retry_after=5))
            return future
        if self.failed is not None:
            future.set_exception(Unavailable(self.failed, retry_after=30))
            return future
        self._queue.put(_Operation(fn, durable, future))
        return future

    async def close(self) -> None:
        """Finishes what is queued, checkpoints, and closes."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while True:
            try:
                first = self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                self._checkpoint()
                continue
            batch: list[_Operation[Any]] = []
            operation: _Operation[Any] | None = first
            while operation is not None:
                batch.append(operation)
                if len(batch) == limits.WRITE_GROUP_MAX:
                    break
                try:
                    operation = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit_group(batch)
                self.commits += 1
                self._loop.call_soon_threadsafe(_deliver, batch)
                if self._log_pages >= limits.WAL_CHECKPOINT_PAGES:
                    self._checkpoint()
            if operation is None:
                break
        self._checkpoint()
        self._connection.close()

    def _commit_group(self, batch: Sequence[_Operation[Any]]) -> None:
        if self.failed is not None:
            _fail(batch, Unavailable(self.failed, retry_after=30))
            return
        full = any(operation.durable for operation in batch)
        if self._turn >= 0:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            self._commit(batch, full)
        except apsw.FullError:
            self._roll_back()
            _fail(batch, Unavailable("The disk is full: pushes are refused, pulls work. Free space.", retry_after=30))
        except (apsw.BusyError, apsw.LockedError):
            self._roll_back()
            _fail(batch, Unavailable("Another process keeps the database busy. Try again.", retry_after=5))
        except Exception as error:
            # Whatever it was, nobody may wait for ever for a thread that has ended.
            self._roll_back()
            self.failed = f"The database could not be written ({type(error).__name__}). Writes stop until a restart."
            _fail(batch, Unavailable(self.failed, retry_after=30))
        finally:
            if self._turn >= 0:
                fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _commit(self, batch: Sequence[_Operation[Any]], full: bool) -> None:
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
        self._faults.hit(FaultPoint.GROUP_DONE)
        execute("COMMIT")
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


def _fail(batch: Sequence[_Operation[Any]], error: BaseException) -> None:
    for operation in batch:
        operation.error = error


def _deliver(batch: Sequence[_Operation[Any]]) -> None:
    for operation in batch:
        if operation.future.done():
            continue
        if operation.error is not None:
            operation.future.set_exception(operation.error)
        else:
            operation.future.set_result(operation.result)
