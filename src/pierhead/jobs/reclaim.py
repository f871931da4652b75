"""The space of what nothing refers to comes back by itself, while pushes and mounts go on.

One step: due blobs are reviewed and those whose quarantine is over are marked, in one commit; then their bytes go; then
their rows. Killed anywhere, the next step finishes what this one began. A blob that is pushed meanwhile has a new
generation, which the old one's deletion cannot touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from pierhead.commits.reclaim import Reviewed, forget_blobs, review_blobs
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.blobs import BlobStore, StoreFailed
from pierhead.ports.clock import Clock
from pierhead.ports.faults import FaultPoint, Faults
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobRow, Reclaimable

JOB: Final = "reclaim"


class Reclaim(Struct, frozen=True):
    """One process reclaims at a time; ``holder`` is this one's name, unlike any other's. Times in microseconds.

    ``term`` is how long the others wait for a process that has stopped to answer. It guards against work done twice,
    not against harm: two that reclaim at once do none.
    """

    store: Store
    blobs: BlobStore
    faults: Faults
    holder: str
    quarantine: int
    term: int = limits.JOB_TERM_SECONDS * 1_000_000
    batch: int = limits.RECLAIM_BLOBS_PER_STEP

    async def __call__(self) -> Outcome:
        """One step, to be called again at once while it says ``more``."""
        try:
            return await self._step()
        except (Unavailable, StoreFailed, OSError) as error:
            return Failed(str(error))

    async def _step(self) -> Outcome:
        reviewed = await self.store.write(self._review, vital=True)
        if reviewed is None:
            return Idle()
        if reviewed.condemned:
            self.faults.hit(FaultPoint.RECLAIM_CONDEMNED)
        leaving = reviewed.leaving
        if leaving:
            self.faults.hit(FaultPoint.RECLAIM_DELETING)
            await self._delete(leaving)
        seen = reviewed.wanted + reviewed.condemned + reviewed.forgotten
        if not seen and not leaving:
            return Idle()
        freed = sum(blob.size for blob in leaving)
        what = f"{len(leaving)} blobs deleted ({freed} bytes), {reviewed.condemned} condemned, {reviewed.wanted} kept"
        return Worked(what, more=seen >= self.batch or len(leaving) >= self.batch)

    def _review(self, tx: Tx) -> Reviewed | None:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return None
        return review_blobs(tx, self.quarantine, self.batch)

    async def _delete(self, leaving: Sequence[BlobRow]) -> None:
        # Small blobs lie in their rows, without a generation or without a file under it.
        await self.blobs.delete([(blob.digest, blob.generation) for blob in leaving if blob.generation])
        self.faults.hit(FaultPoint.RECLAIM_UNLINKED)
        await self.store.write(lambda tx: forget_blobs(tx, leaving), vital=True)


async def preview(store: Store, clock: Clock, sample: int = limits.RECLAIM_SAMPLE) -> Reclaimable:
    """What would go and how much, and what leases keep. Changes nothing. Raises TimeoutError after five seconds."""
    now = clock.now()
    return await store.report(lambda reports: reports.reclaimable(now, sample))
