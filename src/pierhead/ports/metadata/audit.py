"""The record of what happened, as it is read: what is searched for, and what a row says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pierhead.ports.metadata.values import EventId


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All that are given must hold; ``since`` and ``until`` (excluded) are microseconds since 1970, UTC."""

    account: str | None = None
    repository: str | None = None
    image: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """``body`` holds plain JSON values."""

    seq: EventId
    at: int
    kind: str
    account: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RecordHead:
    """The newest row: its number and its hash, which covers every row before it. 0 and zeros for an empty record."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"
