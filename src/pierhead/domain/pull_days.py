"""How often something was pulled on each of the last days: a ring of one byte a day, which says at most 255."""

from __future__ import annotations

from typing import Final

DAY: Final = 24 * 3600 * 1_000_000
"""In microseconds."""
SLOTS: Final = 96
SHOWN: Final = 90
"""Days that are told of; the ring holds a few more, so that no day is told in part."""
_MOST: Final = 255


def day_of(instant: int) -> int:
    """Days since 1970 (UTC) of an instant in microseconds."""
    return instant // DAY


def added(ring: bytes, before: int, day: int, times: int) -> bytes:
    """The ring with ``times`` more pulls on ``day``; ``before`` is the day of its last pull.

    A day that lies before that and beyond the ring is lost.
    """
    slots = bytearray(ring) if len(ring) == SLOTS else bytearray(SLOTS)
    if day > before:
        for passed in range(max(before + 1, day - SLOTS + 1), day + 1):
            slots[passed % SLOTS] = 0
    elif before - day >= SLOTS:
        return bytes(slots)
    slots[day % SLOTS] = min(_MOST, slots[day % SLOTS] + times)
    return bytes(slots)


def counted(ring: bytes, last: int, today: int) -> dict[int, int]:
    """Day -> pulls, of the ``SHOWN`` days up to ``today``; ``last`` is the day of the ring's last pull."""
    if len(ring) != SLOTS:
        return {}
    first = max(today - SHOWN + 1, last - SLOTS + 1)
    return {day: ring[day % SLOTS] for day in range(first, last + 1) if ring[day % SLOTS]}


def together(*counts: dict[int, int]) -> dict[int, int]:
    """Of several counts of the same pulls the larger one of each day: who resolves a tag asks for its digest next."""
    days = sorted({day for one in counts for day in one})
    return {day: max(one.get(day, 0) for one in counts) for day in days}
