"""Slows down who asks for something again and again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pierhead.domain.refusals import TooManyLogins
from pierhead.ports.clock import Clock

_ENTRIES_MAX: Final = 10_000
_SECONDS: Final = 60.0


class Brake:
    """Lets each name through ``most`` times a minute; the names that were not seen for longest are forgotten first."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, name: str) -> None:
        """Raises TooManyLogins."""
        now = self._clock.monotonic()
        until, count = self._seen.get(name, (0.0, 0))
        if until <= now:
            until, count = now + _SECONDS, 0
        if count >= self._most:
            raise TooManyLogins(int(until - now) + 1)
        self._seen[name] = (until, count + 1)
        self._seen.move_to_end(name)
        while len(self._seen) > _ENTRIES_MAX:
            self._seen.popitem(last=False)
