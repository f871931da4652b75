"""The record of what happened, as it is read: what is searched for, and what a row says."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from pierhead.ports.metadata.values import EventId


class EventFilter(Struct, frozen=True):
    """All that are given must hold; ``since`` and ``until`` (excluded) are microseconds since 1970, UTC."""

    account: str | None = None
    repository: str | None = None
    image: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None


class EventRow(Struct, frozen=True):
    """``body`` holds plain JSON values."""

    seq: EventId
    at: int
    kind: str
    account: str
    body: Mapping[str, object]


class RecordHead(Struct, frozen=True):
    """The newest row: its number and its hash, which covers every row before it. 0 and zeros for an empty record."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"
