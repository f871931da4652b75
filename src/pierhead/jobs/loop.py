"""The one thing that repeats: a step is called again and again, and never twice at once.

A step does a bounded piece of work and says what came of it; tests call it directly. The loop decides when it is called
next: at once after work that was not all, after the usual pause when there is nothing to do, and later and later while
it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

_log = logging.getLogger(__name__)

_PAUSE_SECONDS_MAX: Final = 600.0


class Worked(Struct, frozen=True):
    """``what`` in plain words with its counts, for the log; ``more`` if the next step would find work at once."""

    what: str
    more: bool = False


class Idle(Struct, frozen=True):
    """There was nothing to do, or another process does it."""


class Failed(Struct, frozen=True):
    """The world got in the way (disk full, database busy); the next step tries again. ``why`` in plain words."""

    why: str


Outcome = Worked | Idle | Failed
Step = Callable[[], Awaitable[Outcome]]


class Loop:
    """Owns the task that calls ``step``. Made on the event loop that it runs on."""

    def __init__(self, name: str, step: Step, every_seconds: float) -> None:
        """``every_seconds`` pass between two steps that leave nothing to do."""
        self.name = name
        self.last: Outcome | None = None
        """What the last step said; None before the first."""
        self._step = step
        self._every = every_seconds
        self._failures = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins with the first step at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"loop {self.name}")

    def wake(self) -> None:
        """Does not wait for the pause to end."""
        self._wake.set()

    async def stop(self) -> None:
        """Waits until the step that is running has ended; no other begins."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping:
            self.last = await self._once()
            pause = self._pause(self.last)
            if pause == 0:
                await asyncio.sleep(0)  # others have their turn between two steps
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()

    async def _once(self) -> Outcome:
        try:
            outcome = await self._step()
        except Exception:
            # A fault of ours must not end the loop for ever: nothing would be reclaimed, and nobody would notice.
            _log.exception("a background step failed", extra={"job": self.name})
            return Failed("a fault of this program; the log has it")
        match outcome:
            case Worked(what):
                _log.info("a background step worked: %s: %s", self.name, what)
            case Failed(why):
                _log.warning("a background step could not go on: %s: %s", self.name, why)
            case Idle():
                pass
        return outcome

    def _pause(self, outcome: Outcome) -> float:
        match outcome:
            case Worked(more=True):
                self._failures = 0
                return 0
            case Failed():
                self._failures += 1
                return min(self._every * float(1 << min(self._failures, 16)), max(self._every, _PAUSE_SECONDS_MAX))
            case _:
                self._failures = 0
                return self._every
