"""Space that is set aside for a full disk is made, and made again once there is room; the record tells of that."""

from __future__ import annotations

from msgspec import Struct

from pierhead.commits.audit import PROGRAM, record
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.metadata.store import Store


class TendReserve(Struct, frozen=True):
    """A step of a loop."""

    store: Store

    async def __call__(self) -> Outcome:
        """Looks, and does nothing as a rule."""
        if not await self.store.tend_reserve():
            return Idle()
        try:
            await self.store.write(lambda tx: record(tx, "reserve", PROGRAM, {"state": "whole"}, {}), vital=True)
        except Unavailable as error:
            return Failed(str(error))
        return Worked("there is room on the disk again, and everything is taken")
