"""Tables for people. On a terminal its width decides which columns go, digests are short and instants are ages; a pipe
gets every column, whole digests and instants. What was pushed by others is shown without control characters."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]

_GAP: Final = "  "
_AGE_DAYS_MAX: Final = 60
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Look:
    """How to print: on a ``terminal`` ``width`` characters wide, or into a pipe. ``now`` is for ages."""

    terminal: bool
    width: int
    color: bool
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """``rank`` 0 always stays; of the others the highest goes first when the terminal is too narrow."""

    title: str
    text: Callable[[Json, Look], str]
    rank: int = 0
    right: bool = False


def look(color: bool, now: datetime | None) -> Look:
    """Of this process's standard output."""
    terminal = sys.stdout.isatty()
    plain = not color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return Look(terminal, shutil.get_terminal_size().columns, terminal and not plain, now)


def show(columns: Sequence[Column], items: Iterable[Json], how: Look, empty: str) -> None:
    """Prints a table; ``empty`` is the sentence for none, which goes to standard error."""
    rows = [[column.text(item, how) or "-" for column in columns] for item in items]
    if not rows:
        print(empty, file=sys.stderr)
        return
    widths = [max(len(column.title), *(len(row[n]) for row in rows)) for n, column in enumerate(columns)]
    shown = _fitting(columns, widths, how)
    print(_line([columns[n].title for n in shown], shown, columns, widths, how.color))
    for row in rows:
        print(_line([row[n] for n in shown], shown, columns, widths, False))
    left_out = dict.fromkeys(column.title for n, column in enumerate(columns) if n not in shown and column.title)
    if left_out:
        print(f"Not shown: {', '.join(left_out)}. A wider terminal or a pipe has them.")


def _fitting(columns: Sequence[Column], widths: Sequence[int], how: Look) -> list[int]:
    shown = list(range(len(columns)))
    while how.terminal and sum(widths[n] + len(_GAP) for n in shown) - len(_GAP) > how.width:
        going = max(shown, key=lambda n: columns[n].rank)
        if columns[going].rank == 0:
            break
        shown.remove(going)
    return shown


def _line(
    cells: Sequence[str], shown: Sequence[int], columns: Sequence[Column], widths: Sequence[int], bold: bool
) -> str:
    padded = [
        cell.rjust(widths[n]) if columns[n].right else cell.ljust(widths[n])
        for cell, n in zip(cells, shown, strict=True)
    ]
    text = _GAP.join(padded).rstrip()
    return f"\033[1m{text}\033[0m" if bold else text


# --- what stands in cells --------------------------------------------------------------------------------------------


def clean(found: object) -> str:
    """Any value as text that a terminal shows as it stands."""
    if found is None:
        return ""
    text = str(found)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def plain(key: str) -> Callable[[Json, Look], str]:
    """The value under ``key``; several of a list joined by commas."""

    def text(item: Json, how: Look) -> str:
        found = item.get(key)
        return ", ".join(map(clean, found)) if isinstance(found, list) else clean(found)

    return text


def size(key: str) -> Callable[[Json, Look], str]:
    """Bytes."""
    return lambda item, how: human_size(item.get(key))


def digest(key: str) -> Callable[[Json, Look], str]:
    """Eight digits on a terminal, the whole digest in a pipe."""
    return lambda item, how: short(item.get(key), how)


def age(key: str) -> Callable[[Json, Look], str]:
    """How long ago on a terminal, the instant in a pipe."""
    return lambda item, how: ago(item.get(key), how)


def short(found: object, how: Look) -> str:
    """A digest as it stands in a table."""
    text = clean(found)
    return text.partition(":")[2][:8] if how.terminal and text else text


def human_size(found: object) -> str:
    """MB is 1,000,000 bytes, as in ``docker``."""
    if not isinstance(found, int):
        return ""
    amount, unit = float(found), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    text = f"{amount:.0f}" if unit == 0 or amount >= 99.95 else f"{amount:.1f}" if amount >= 9.995 else f"{amount:.2f}"
    return f"{text} {_UNITS[unit]}"


def counted(count: int, one: str) -> str:
    """How many, with the word for one of them or for several."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def ago(found: object, how: Look) -> str:
    """``2 h`` for an instant of the last sixty days, a date for an older one; the instant itself in a pipe."""
    if not isinstance(found, str):
        return ""
    if not how.terminal or how.now is None:
        return clean(found)
    at = datetime.fromisoformat(found)
    seconds = int((how.now - at).total_seconds())
    if seconds >= _AGE_DAYS_MAX * 86_400:
        return at.astimezone(UTC).strftime("%d %b %Y")
    return duration(max(seconds, 0))


def duration(seconds: int) -> str:
    """In its largest unit, rounded down."""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def moment(found: object) -> str:
    """An instant within a sentence, with its zone."""
    if not isinstance(found, str):
        return ""
    return datetime.fromisoformat(found).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
