"""What caches need in the background: upstreams that stopped answering are asked whether they do again, and what
leaders of fills who died have left is thrown away.

Each process has its own circuit breakers, so each asks for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.clock import Clock
from pierhead.ports.fills import FillStore
from pierhead.ports.upstream import Circuit, Upstream


class ProbeUpstreams(Struct, frozen=True):
    """``upstreams`` gives those that there are now: repositories come and go while the program runs."""

    upstreams: Callable[[], Sequence[Upstream]]
    clock: Clock

    async def __call__(self) -> Outcome:
        """One step, to be repeated every second or so: asks each upstream whose next probe is due."""
        now = self.clock.now()
        due = [upstream for upstream in self.upstreams() if _is_due(upstream, now)]
        if not due:
            return Idle()
        answers = await asyncio.gather(*(upstream.probe() for upstream in due))
        back = [upstream.name for upstream, answered in zip(due, answers, strict=True) if answered]
        return Worked(f"{', '.join(back)} answers again") if back else Idle()


class CleanFills(Struct, frozen=True):
    """Begins at the start, and is repeated now and then: other worker processes may die later."""

    fills: FillStore

    async def __call__(self) -> Outcome:
        """One step."""
        try:
            cleaned = await self.fills.clean()
        except StoreFailed as failure:
            return Failed(str(failure))
        return Worked(f"{cleaned} cache fills that nobody leads any more thrown away") if cleaned else Idle()


def _is_due(upstream: Upstream, now: int) -> bool:
    state = upstream.state()
    return state.circuit is Circuit.OPEN and state.next_probe_at is not None and state.next_probe_at <= now
