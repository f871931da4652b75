"""Reading the record of events: searched from the newest row back, or followed from a row on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from pierhead.ports.metadata.audit import EventFilter, EventRow, RecordHead
from pierhead.ports.metadata.values import EventId

Execute = Callable[..., Any]

_ROWS: Final = "SELECT seq, at, kind, account, body FROM events"
_HEAD: Final = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
_AT: Final = "SELECT seq, at FROM events WHERE seq>=? ORDER BY seq LIMIT 1"
_NUMBER_MAX: Final = 2**63 - 1
_LOOKED_AT_MAX: Final = 100_000
"""Rows between two answers to somebody who follows: what he waits for may be rare."""

# What is searched for, the rarest first: the first one that is given leads, by its index, and the others are compared
# row by row. A plus keeps their indexes out, since nothing tells SQLite which is the better one.
_FIELDS: Final = (
    ("image", "body ->> '$.image'"),
    ("account", "account"),
    ("repository", "body ->> '$.repository'"),
    ("kind", "kind"),
)

_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


def newest(execute: Execute, wanted: EventFilter, before: int | None, limit: int) -> Sequence[EventRow]:
    """Rows below ``before``, newest first."""
    first, end = _span(execute, wanted)
    end = end if before is None else min(end, before)
    statement, values = search(wanted, newest_first=True)
    return _rows(execute(statement, (*values, first, end, limit)))


def following(execute: Execute, wanted: EventFilter, after: int, limit: int) -> tuple[Sequence[EventRow], int]:
    """Rows above ``after``, oldest first, and up to which number was looked, which may be short of the newest."""
    first, end = _span(execute, wanted)
    first = max(first, after + 1)
    last = min(head(execute).seq, first + _LOOKED_AT_MAX - 1)
    statement, values = search(wanted, newest_first=False)
    found = _rows(execute(statement, (*values, first, min(end, last + 1), limit)))
    return found, found[-1].seq if len(found) == limit else max(after, last)


def head(execute: Execute) -> RecordHead:
    """The newest row."""
    row = execute(_HEAD).fetchone()
    return RecordHead(0, bytes(32)) if row is None else RecordHead(*row)


def search(wanted: EventFilter, *, newest_first: bool) -> tuple[str, tuple[str, ...]]:
    """The statement and its first values; behind them come the first number, the end (excluded) and the limit."""
    given = [(column, getattr(wanted, name)) for name, column in _FIELDS if getattr(wanted, name) is not None]
    conditions = [f"{'+' if place else ''}({column})=?" for place, (column, _) in enumerate(given)]
    where = " AND ".join([*conditions, "seq>=? AND seq<?"])
    order = "seq DESC" if newest_first else "seq"
    return f"{_ROWS} WHERE {where} ORDER BY {order} LIMIT ?", tuple(str(value) for _, value in given)


def _rows(found: Any) -> Sequence[EventRow]:
    return [EventRow(EventId(seq), at, kind, account, _decode(body)) for seq, at, kind, account, body in found]


def _span(execute: Execute, wanted: EventFilter) -> tuple[int, int]:
    """The numbers from the first row at or behind ``since`` to the first at or behind ``until``."""
    first = 0 if wanted.since is None else _first_at(execute, wanted.since)
    return first, _NUMBER_MAX if wanted.until is None else _first_at(execute, wanted.until)


def _first_at(execute: Execute, at: int) -> int:
    """The number of the first row at or behind an instant: instants never go back, so halving finds it."""
    low, high = 0, head(execute).seq + 1
    while low < high:
        middle = (low + high) // 2
        row = execute(_AT, (middle,)).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low
