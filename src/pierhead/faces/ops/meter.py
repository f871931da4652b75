"""What is counted of requests. Counting is a few additions; everything else is done when somebody asks for metrics.

Labels are bounded: routes and methods are ours, repositories are those of the configuration, images and accounts never
are labels.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from time import monotonic
from typing import Final, cast

from msgspec import Struct, field

from pierhead.faces.door.ask import Ask
from pierhead.faces.door.front import HEALTH_PATHS
from pierhead.faces.door.heads import METHODS

BOUNDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
"""Upper ends of the buckets of durations, in seconds."""

_LAG_LOOK_SECONDS: Final = 0.5
_CLIENT_LEFT: Final = 499

Key = tuple[str, str, int, str]
"""Route, method, status, repository ("" where none was named)."""


class Cell(Struct):
    """Requests with the same key."""

    requests: int = 0
    seconds: float = 0.0
    sent: int = 0
    received: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


class Meter:
    """``observe`` is called on the event loop once for each request."""

    def __init__(self) -> None:
        self.cells: dict[Key, Cell] = {}
        self._find = cast("dict[object, Cell]", self.cells).get
        self.refusals: Counter[tuple[str, str, str]] = Counter()
        """By reason, repository, method."""
        self.lag = 0.0
        """The longest that the event loop was late since the last scrape, in seconds."""

    def observe(self, ask: Ask, status: int, sent: int, seconds: float) -> None:
        """``sent`` in bytes of the body; a status of 0 says that the client left before an answer."""
        route: object = None
        repository: object = ""
        if ask.noted:
            note = ask.note
            route = note.get("route")
            repository = note.get("repository", "")
            if status >= 400 and "refused" in note:
                method = ask.method if ask.method in METHODS else "other"
                self.refusals[str(note["refused"]), str(repository), method] += 1
        key = (route, ask.method, status, repository)
        cell = self._find(key)
        if cell is None:
            cell = self._cell(ask, key)
        cell.requests += 1
        cell.seconds += seconds
        cell.sent += sent
        cell.received += ask.taken
        cell.buckets[bisect_left(BOUNDS, seconds)] += 1

    def _cell(self, ask: Ask, key: tuple[object, str, int, object]) -> Cell:
        """Keys are made here, so that nothing of a client's becomes one."""
        route, method, status, repository = key
        if route is None:
            route = "health" if ask.target in HEALTH_PATHS else "other"
        method = method if method in METHODS else "other"
        return self.cells.setdefault((str(route), method, status or _CLIENT_LEFT, str(repository)), Cell())

    async def watch_lag(self) -> None:
        """Measures for ever how late the event loop comes to what is due."""
        while True:
            due = monotonic() + _LAG_LOOK_SECONDS
            await asyncio.sleep(_LAG_LOOK_SECONDS)
            self.lag = max(self.lag, monotonic() - due)
