"""Events that are older than the configuration wants them kept go, once a day, a bounded number at a time."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.commits.audit_cut import Cutting, cut_record
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.metadata.store import Store, Tx

JOB: Final = "cut record"


class CutRecord(Struct, frozen=True):
    """One process cuts at a time; ``holder`` is this one's name. ``keep`` and ``rest`` are in microseconds: a cut is
    begun when the oldest event is older than both together, so that not every step makes one of its own."""

    store: Store
    holder: str
    keep: int
    rest: int = limits.AUDIT_CUT_REST_SECONDS * 1_000_000
    most: int = limits.AUDIT_CUT_ROWS_MAX
    term: int = limits.JOB_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """One step, to be called again at once while it says ``more``."""
        try:
            done = await self.store.write(self._cut, vital=True)
        except Unavailable as error:
            return Failed(str(error))
        if done is None or not done.removed:
            return Idle()
        return Worked(f"{done.removed} old events taken out of the record", more=done.more)

    def _cut(self, tx: Tx) -> Cutting | None:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return None
        before = tx.now - self.keep
        return cut_record(tx, before, before - self.rest, self.most)
