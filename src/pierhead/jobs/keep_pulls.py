"""What was pulled gets into the database, a few seconds later, without a sync: a lost count makes something look a
little older, and no rule removes what is only seconds too old."""

from __future__ import annotations

from msgspec import Struct

from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome
from pierhead.ports.metadata.store import Store
from pierhead.repositories.pulls import Pulls


class KeepPulls(Struct, frozen=True):
    """A step of a loop of every process, and what the last one of a process does."""

    store: Store
    pulls: Pulls

    async def __call__(self) -> Outcome:
        """One write for all that was pulled since the last one; none if nothing was."""
        taken = self.pulls.take()
        if not taken:
            return Idle()
        try:
            await self.store.write(lambda tx: tx.pulls.add(taken), durable=False)
        except Unavailable as failure:
            self.pulls.give_back(taken)
            return Failed(failure.message)
        return Idle()
