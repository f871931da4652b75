"""Every stored byte is read again once in a while, since disks forget without saying so.

Blobs are walked by their ids, a bounded number of bytes each step, and where the walk stands is kept in the database. A
blob that is damaged is taken out of sight (``commits/damage.py``); clients see that it is missing and push it again.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from pierhead.commits.damage import lose_blob
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.blobs import BlobStore, SendFile, StoreFailed
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobId, BlobRow

JOB: Final = "verify"
CURSOR: Final = "verify.cursor"
_PIECE: Final = 1 << 20
_DAMAGED: Final = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})

_log = logging.getLogger(__name__)


class Doubts(Struct):
    """Digests whose bytes somebody could not read whole: they are looked at before all others, and at once."""

    waiting: dict[Digest, None] = field(default_factory=dict)
    wake: Callable[[], None] = lambda: None
    """Ends the pause of who looks at them."""

    def add(self, digest: Digest) -> None:
        """Does nothing when very many wait: the walk comes by in any case."""
        if len(self.waiting) < limits.VERIFY_ROWS_PER_STEP:
            self.waiting[digest] = None
            self.wake()

    def take(self) -> list[Digest]:
        """All of them, which wait no more."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken


class VerifyBlobs(Struct, frozen=True):
    """One process verifies at a time; ``holder`` is this one's name. ``period`` and ``term`` are in microseconds."""

    store: Store
    blobs: BlobStore
    clock: Clock
    holder: str
    doubts: Doubts
    period: int = limits.VERIFY_PERIOD_SECONDS * 1_000_000
    most: int = limits.VERIFY_BYTES_PER_STEP
    term: int = limits.JOB_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """What is doubted, and then the next of the walk, up to ``most`` bytes."""
        try:
            doubted = await self._doubted()
            if not await self.store.write(lambda tx: tx.jobs.take(JOB, self.holder, tx.now + self.term), durable=False):
                return Worked(_told(0, doubted)) if doubted else Idle()
            return await self._walk(doubted)
        except (Unavailable, StoreFailed, TimeoutError) as error:
            return Failed(str(error))

    async def _doubted(self) -> int:
        """Each worker looks at what its own clients met. Returns how many were lost."""
        lost = 0
        for digest in self.doubts.take():  # what is not got to for an error is doubted again by who pulls it next
            row = await self.store.lookups.known(digest)
            if row is not None and row.body is None and row.generation:
                lost += await self._lost(row)
        return lost

    async def _walk(self, lost: int) -> Outcome:
        noted = await self.store.report(lambda reports: reports.note(CURSOR))
        after = BlobId(int(noted or 0))
        rows = await self.store.report(lambda reports: reports.kept_blobs(after, limits.VERIFY_ROWS_PER_STEP))
        due = self.clock.now() - self.period
        read, whole = 0, []
        for row, verified in rows:
            after = row.id
            if verified > due:
                continue
            if await self._lost(row):
                lost += 1
            else:
                whole.append(row)
            read += row.size
            if read >= self.most:
                break
        ended = len(rows) < limits.VERIFY_ROWS_PER_STEP and (not rows or after == rows[-1][0].id)
        await self._note(whole, BlobId(0) if ended else after)
        return Worked(_told(len(whole) + lost, lost)) if whole or lost else Idle()

    async def _note(self, whole: list[BlobRow], cursor: BlobId) -> None:
        """Losing this costs reading the same bytes again."""

        def write(tx: Tx) -> None:
            tx.blobs.verify(whole)
            tx.notes.put(CURSOR, str(cursor))

        await self.store.write(write, durable=False)

    async def _lost(self, row: BlobRow) -> bool:
        why = await self._fault(row)
        if why is None:
            return False
        holders = await self.store.report(lambda reports: reports.holders(row.id, limits.HOLDERS_NAMED_MAX))
        images = [f"{repository}/{image}" for repository, image in holders]
        if not await self.store.write(lambda tx: lose_blob(tx, row, why, images)):
            return False  # somebody brought other bytes meanwhile, or reclaim took it
        _log.error(
            "a stored blob is damaged and counts as missing until it is pushed or fetched again: %s: %s. Images: %s",
            row.digest,
            why,
            ", ".join(images) or "none",
        )
        return True

    async def _fault(self, row: BlobRow) -> str | None:
        """What is wrong with the bytes; None if nothing is."""
        if row.body is not None:
            return None if Digest.of(row.body, row.digest.algorithm) == row.digest else "its row holds other bytes"
        delivery = self.blobs.open(row.digest, row.generation, row.size)
        if not isinstance(delivery, SendFile):
            return None
        return await asyncio.to_thread(_read_through, delivery.path, row.digest, row.size)


def _read_through(path: str, digest: Digest, size: int) -> str | None:
    hasher = hashlib.new(digest.algorithm)
    read = 0
    try:
        with open(path, "rb", buffering=0) as file:
            # What is read here is not what clients are about to ask for.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_NOREUSE)
            while piece := file.read(_PIECE):
                hasher.update(piece)
                read += len(piece)
    except FileNotFoundError as error:
        if not os.path.isdir(os.path.dirname(path)):  # drawn at the first start: what is away is the whole disk
            raise StoreFailed("the folders of blobs are not there") from error
        return "its file is gone"
    except OSError as error:
        if error.errno not in _DAMAGED:  # no descriptors, no memory, no leave: that says nothing of the bytes
            raise StoreFailed(f"stored blobs cannot be read (errno {error.errno})") from error
        return f"its file cannot be read (errno {error.errno})"
    if read != size:
        return f"its file has {read} bytes instead of {size}"
    return None if hasher.hexdigest() == digest.hex else "its file holds other bytes"


def _told(read: int, lost: int) -> str:
    return f"{read} blobs read through, {lost} of them damaged"
