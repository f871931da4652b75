"""Which bytes or entries are meant: ``Content-Range`` of a chunk, ``Range`` of a read, ``n`` and ``last`` of a page.

Sources: OCI distribution specification ("Pushing a blob in chunks", "Listing Tags"), RFC 9110 section 14.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.refusals import (
    ContentRangeInvalid,
    QueryInvalid,
    RangeUnsatisfiable,
    SizeInvalid,
    UploadRangeWrong,
)

_CHUNK: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_RANGE: Final = re.compile(r"([0-9]*)-([0-9]*)")
_DIGITS: Final = re.compile(r"[0-9]+")
_NUMBER_DIGITS_MAX: Final = 18
_OFFSET_MAX: Final = 2**63 - 1
_WHITESPACE: Final = " \t"


class Slice(Struct, frozen=True):
    """``count`` bytes from the offset ``start``; ``count`` is at least 1."""

    start: int
    count: int

    @property
    def last(self) -> int:
        """The offset of the last byte, as ``Content-Range`` says it."""
        return self.start + self.count - 1


class Page(Struct, frozen=True):
    """At most ``n`` entries, those that sort behind ``last`` (empty: from the beginning)."""

    n: int
    last: str


def parse_content_range(text: str) -> tuple[int, int]:
    """``START-END`` of a chunk, both from 0 and inclusive, without a unit or a total.

    Raises ContentRangeInvalid for anything else, and for an end before its start.
    """
    found = _CHUNK.fullmatch(text)
    if found is None:
        raise ContentRangeInvalid(text)
    start, end = int(found[1]), int(found[2])
    if end < start or end > _OFFSET_MAX:
        raise ContentRangeInvalid(text)
    return start, end


def check_chunk(content_range: str | None, content_length: int | None, offset: int, upload: str) -> int | None:
    """How many bytes the chunk has to bring; ``None`` if it does not say (a stream of chunked transfer).

    The upload session ``upload`` holds ``offset`` bytes; a chunk without ``Content-Range`` goes behind them.
    Raises ContentRangeInvalid, SizeInvalid if range and length disagree, and UploadRangeWrong unless the chunk begins
    at ``offset``: what came twice, overlaps or leaves a gap is never stored in part.
    """
    if content_range is None:
        return content_length
    start, end = parse_content_range(content_range)
    said = end - start + 1
    if content_length is not None and content_length != said:
        raise SizeInvalid(said=said, came=content_length)
    if start != offset:
        raise UploadRangeWrong(offset, upload, f"This one begins at {start}.")
    return said


def parse_range(header: str | None, size: int) -> Slice | list[Slice] | None:
    """What a read of ``size`` bytes with this ``Range`` header gives: ``None`` for everything (200), one ``Slice``
    (206), or two and more for ``multipart/byteranges`` (206).

    Ranges that do not overlap stay as they are asked, in their order, even where they touch: containers/image counts
    the parts of the answer. Ranges that overlap are sorted and joined, so that no byte is sent twice (RFC 9110 section
    15.3.7.2). What RFC 9110 section 14.2 lets a server ignore is ignored: other units, malformed ranges, more than
    limits.RANGES_PER_READ_MAX of them, and any range of an empty blob. Raises RangeUnsatisfiable if each range lies
    past the end.
    """
    if header is None or size == 0:
        return None
    unit, equals, specs = header.partition("=")
    if not equals or unit.lower() != "bytes" or specs.count(",") >= limits.RANGES_PER_READ_MAX:
        return None
    slices: list[Slice] = []
    named = 0
    for spec in specs.split(","):
        # RFC 9110 section 5.6.1.2: empty elements of a list are to be skipped.
        text = spec.strip(_WHITESPACE)
        if not text:
            continue
        bounds = _bounds(text)
        if bounds is None:
            return None
        named += 1
        asked = _within(bounds[0], bounds[1], size)
        if asked is not None:
            slices.append(asked)
    if not named:
        return None
    if not slices:
        raise RangeUnsatisfiable(size)
    if len(slices) > 1:
        slices = _without_overlap(slices)
    return slices[0] if len(slices) == 1 else slices


def parse_page(n: str | None, last: str | None) -> Page:
    """``n`` and ``last`` of a list as the query gives them; at most limits.PAGE_ITEMS_MAX entries, 0 is allowed.

    Raises QueryInvalid if ``n`` is no whole number from 0, or ``last`` is longer than any name can be.
    """
    if n is None:
        count = limits.PAGE_ITEMS_DEFAULT
    elif _DIGITS.fullmatch(n) is None:
        raise QueryInvalid("n", "it is a whole number from 0")
    else:
        count = min(_number(n), limits.PAGE_ITEMS_MAX)
    cursor = last or ""
    if len(cursor.encode("utf-8", "surrogatepass")) > limits.PAGE_CURSOR_BYTES_MAX:
        raise QueryInvalid("last", f"it has more than {limits.PAGE_CURSOR_BYTES_MAX} bytes; give the last entry seen")
    return Page(count, cursor)


def _number(digits: str) -> int:
    """Beyond what a blob can have, the exact value no longer matters (and ``int`` takes no more than 4,300 digits)."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _NUMBER_DIGITS_MAX else _OFFSET_MAX


def _bounds(text: str) -> tuple[int | None, int | None] | None:
    """Both ends of ``A-B``, ``A-`` or ``-N`` (the last N bytes: no first end); ``None`` if it is none of them."""
    found = _RANGE.fullmatch(text)
    if found is None or len(text) == 1:
        return None
    first, last = found[1], found[2]
    if first and last and _by_value(last) < _by_value(first):
        return None
    return _number(first) if first else None, _number(last) if last else None


def _by_value(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant


def _within(first: int | None, last: int | None, size: int) -> Slice | None:
    if first is None:
        count = min(last or 0, size)
        return Slice(size - count, count) if count else None
    if first >= size:
        return None
    end = size - 1 if last is None else min(last, size - 1)
    return Slice(first, end - first + 1)


def _without_overlap(slices: list[Slice]) -> list[Slice]:
    joined: list[Slice] = []
    for one in sorted(slices, key=lambda one: one.start):
        before = joined[-1] if joined else None
        if before is not None and one.start <= before.last:
            joined[-1] = Slice(before.start, max(before.last, one.last) - before.start + 1)
        else:
            joined.append(one)
    return slices if len(joined) == len(slices) else joined
