"""Promotions that waited for approvals for too long are ended. None of them can be approved any more in any case: this
writes it down."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.commits.promotion import expire
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx

JOB: Final = "expire promotions"


class ExpirePromotions(Struct, frozen=True):
    """One process at a time; ``holder`` is this one's name."""

    store: Store
    clock: Clock
    holder: str
    term: int = limits.JOB_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """Some of them; nothing is written where none is due."""
        try:
            now = self.clock.now()
            if not await self.store.report(lambda reports: reports.promotions_due(now)):
                return Idle()
            ended = await self.store.write(self._expire)
        except Unavailable as failure:
            return Failed(failure.message)
        except TimeoutError:
            return Failed("the database is busy")
        most = limits.PROMOTIONS_EXPIRED_PER_STEP
        return Worked(f"{ended} promotions expired", more=ended == most) if ended else Idle()

    def _expire(self, tx: Tx) -> int:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return 0
        return expire(tx, limits.PROMOTIONS_EXPIRED_PER_STEP)
