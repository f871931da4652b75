"""Reading the one row that must be there."""

from __future__ import annotations

from typing import Any, Protocol


class _Cursor(Protocol):
    def fetchone(self) -> Any | None: ...


def one(cursor: _Cursor) -> tuple[Any, ...]:
    """The row of a statement that always has one; its absence is a fault of ours."""
    row = cursor.fetchone()
    assert isinstance(row, tuple), "a statement that always gives a row gave none"
    return row
