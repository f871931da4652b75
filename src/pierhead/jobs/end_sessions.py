"""Sessions that have ended are forgotten. None of them holds any more: this only gives their rows back."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.metadata.store import Store, Tx

JOB: Final = "end sessions"


class EndSessions(Struct, frozen=True):
    """One process at a time; ``holder`` is this one's name, ``idle`` in microseconds."""

    store: Store
    holder: str
    idle: int
    term: int = limits.JOB_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """All of them in one step."""
        try:
            ended = await self.store.write(self._expire, durable=False, vital=True)
        except Unavailable as failure:
            return Failed(failure.message)
        return Worked(f"{ended} ended sessions forgotten", more=False) if ended else Idle()

    def _expire(self, tx: Tx) -> int:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return 0
        return tx.sessions.expire(tx.now, tx.now - self.idle)
