"""Whether it is worth asking an upstream at all just now."""

from __future__ import annotations

from typing import Final

from pierhead.adapters.upstream.quota import SECOND, at_time
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.upstream import Circuit

_DOUBLINGS_MAX: Final = 16


class Breaker:
    """Opens after some failures in a row; while it is open, calls fail at once and with the reason.

    It closes by a probe. If nobody probes, the first call ``awaited`` seconds after ``next_probe_at`` is let through as
    the trial; a call that was let through sooner would wait for what is silent, though it might have a stale answer.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        entropy: Entropy,
        *,
        failures_to_open: int,
        seconds: float,
        seconds_max: float,
        awaited: float = 0.0,
    ) -> None:
        self._name = name
        self._clock = clock
        self._entropy = entropy
        self._failures_to_open = failures_to_open
        self._seconds = seconds
        self._seconds_max = seconds_max
        self._awaited = int(awaited * SECOND)
        self._in_a_row = 0
        self._openings = 0
        self._trial = False
        self.reason = ""
        self.since: int | None = None
        self.next_probe_at: int | None = None
        self._first_failure_at: int | None = None

    @property
    def circuit(self) -> Circuit:
        if self.since is None:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self._trial else Circuit.OPEN

    def check(self) -> None:
        """Raises Unavailable while no call is let through."""
        if self.since is None or (not self._trial and self._due()):
            return
        raise self.refusal()

    def enter(self) -> None:
        """A call begins. Raises Unavailable as ``check``; in an open circuit that is due, it becomes the trial."""
        self.check()
        if self.since is not None:
            self._trial = True

    def begin_probe(self) -> None:
        self._trial = self.since is not None

    def succeeded(self) -> None:
        self._in_a_row = self._openings = 0
        self._trial = False
        self.since = self.next_probe_at = self._first_failure_at = None

    def failed(self, reason: str) -> bool:
        """True if the circuit opens by it."""
        now = self._clock.now()
        self.reason = reason
        self._in_a_row += 1
        if self._first_failure_at is None:
            self._first_failure_at = now
        if self.since is None and self._in_a_row < self._failures_to_open:
            return False
        opened = self.since is None
        if opened:
            self.since = self._first_failure_at
        if opened or self._trial:
            self._schedule(now)
        self._trial = False
        return opened

    def abandoned(self) -> None:
        """The call ended without telling anything about the upstream: it was cancelled, or gave a bad answer."""
        if self._trial:
            self._trial = False
            self._schedule(self._clock.now())

    def forget(self) -> None:
        self.succeeded()
        self.reason = ""

    def refusal(self) -> Unavailable:
        now = self._clock.now()
        since, then = self.since or now, max(self.next_probe_at or now, now)
        return Unavailable(
            f"{self._name} does not answer since {at_time(since)} ({self.reason}). "
            f"Next try {at_time(then, seconds=True)}.",
            kind="down",
            retry_after=max(1, -((now - then) // SECOND)),
        )

    def _due(self) -> bool:
        return self.next_probe_at is None or self._clock.now() >= self.next_probe_at + self._awaited

    def _schedule(self, now: int) -> None:
        ceiling = min(self._seconds * 2 ** min(self._openings, _DOUBLINGS_MAX), self._seconds_max)
        self._openings += 1
        self.next_probe_at = now + int(ceiling * (0.5 + 0.5 * self._entropy.fraction()) * SECOND)
