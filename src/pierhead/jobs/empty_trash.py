"""What was deleted longer ago than it is kept goes for good. Its space comes back by reclaim, as that of blobs does."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.commits.audit import PROGRAM, record
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx

JOB: Final = "empty trash"


class EmptyTrash(Struct, frozen=True):
    """One process at a time; ``holder`` is this one's name. ``keep`` and ``lease`` in microseconds: how long what was
    deleted can be brought back, and how long blobs stay for clients that were told they are here."""

    store: Store
    clock: Clock
    holder: str
    keep: int
    lease: int
    term: int = limits.JOB_TERM_SECONDS * 1_000_000
    batch: int = limits.EXPIRY_ROWS_PER_STEP

    async def __call__(self) -> Outcome:
        """One small transaction, to be called again at once while it says ``more``."""
        oldest = await self.store.report(lambda reports: reports.expiry.oldest_deleted())
        if oldest is None or oldest >= self.clock.now() - self.keep:
            return Idle()  # and nothing is written: a disk that is full has no room for that
        try:
            purged = await self.store.write(self._purge, vital=True)
        except Unavailable as failure:
            return Failed(failure.message)
        return Worked(f"{purged} deleted manifests purged", more=purged >= self.batch) if purged else Idle()

    def _purge(self, tx: Tx) -> int:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return 0
        due = tx.trash.due(tx.now - self.keep, self.batch)
        for one in due:
            what = {"repository": one.repository, "image": one.name, "digest": one.digest}
            record(tx, "purge", PROGRAM, what, {}, one.image)
            tx.reclaims.review(tx.manifests.blobs(one.manifest), tx.now + self.lease)
            tx.trash.empty(one.image, one.manifest)
        return len(due)
