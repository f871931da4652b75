from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pierhead.domain import limits
from pierhead.domain.ranges import Slice, check_chunk, parse_content_range, parse_page, parse_range
from pierhead.domain.refusals import ContentRangeInvalid, RangeUnsatisfiable, Refusal, SizeInvalid, UploadRangeWrong
from tests.effort import examples

SIZES = st.integers(0, 40)
NUMBERS = st.integers(0, 50) | st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**30])
SPECS = (
    st.builds("{}-{}".format, NUMBERS, NUMBERS)
    | st.builds("{}-".format, NUMBERS)
    | st.builds("-{}".format, NUMBERS)
    | st.sampled_from(["", " ", "-", "x", "1-2-3"])
)
HEADERS = st.lists(SPECS, min_size=1, max_size=6).map(lambda specs: "bytes=" + ",".join(specs))


def slices_of(header: str | None, size: int) -> list[Slice] | None:
    found = parse_range(header, size)
    return [found] if isinstance(found, Slice) else found


def model(header: str, size: int) -> list[set[int]] | None:
    """Every range as the set of offsets it asks for inside the file; None if the header is malformed."""
    asked = []
    for spec in header.removeprefix("bytes=").split(","):
        spec = spec.strip()
        if not spec:
            continue
        if re.fullmatch(r"\d+-\d*|-\d+", spec) is None:
            return None
        first, last = spec.split("-")
        if first and last and int(last) < int(first):
            return None
        if first:
            asked.append({at for at in range(size) if int(first) <= at and (not last or at <= int(last))})
        else:
            asked.append({at for at in range(size) if at >= size - int(last)})
    return asked or None


@given(HEADERS, SIZES)
def test_ranges_are_the_bytes_that_a_plain_reading_gives(header: str, size: int) -> None:
    asked = model(header, size)
    try:
        found = slices_of(header, size)
    except RangeUnsatisfiable:
        assert asked is not None
        assert size
        assert not any(asked)
        return
    if asked is None or not size:
        assert found is None
        return
    assert found is not None
    sent = [at for one in found for at in range(one.start, one.start + one.count)]
    assert len(sent) == len(set(sent)), "no byte is sent twice"
    assert set(sent) == set().union(*asked)
    satisfiable = [one for one in asked if one]
    if sum(map(len, satisfiable)) == len(sent):
        assert [set(range(one.start, one.last + 1)) for one in found] == satisfiable, "parts are in the order asked"


@given(st.text() | st.text("bytes=0123456789-, ", max_size=30).map("bytes={}".format), SIZES)
def test_whatever_is_asked_lies_in_the_file(header: str, size: int) -> None:
    try:
        found = slices_of(header, size)
    except RangeUnsatisfiable:
        return
    assert found is None or 1 <= len(found) <= limits.RANGES_PER_READ_MAX
    for one in found or ():
        assert 0 <= one.start <= one.last < size


@given(st.text() | st.text("0123456789-/* bytes", max_size=12) | st.builds("{}-{}".format, NUMBERS, NUMBERS))
def test_a_chunk_is_two_numbers_or_refused(text: str) -> None:
    try:
        start, end = parse_content_range(text)
    except ContentRangeInvalid:
        return
    assert re.fullmatch(f"0*{start}-0*{end}", text)
    assert 0 <= start <= end < 2**63


@given(st.none() | st.text() | st.integers().map(str), st.none() | st.text())
def test_a_page_is_within_its_limits_or_refused(n: str | None, last: str | None) -> None:
    try:
        page = parse_page(n, last)
    except Refusal:
        return
    assert 0 <= page.n <= limits.PAGE_ITEMS_MAX
    assert page.last == (last or "")


class Upload(RuleBasedStateMachine):
    """One client that knows what it sends, in order or not; what is stored is always a beginning of its blob."""

    BLOB = bytes(range(256)) * 2

    def __init__(self) -> None:
        super().__init__()
        self.stored = b""

    def send(self, start: int, data: bytes, *, said: str | None, length: int | None) -> None:
        """What a server does with a chunk: nothing is stored unless `check_chunk` lets it pass."""
        before = self.stored
        try:
            expected = check_chunk(said, length, len(self.stored), "upload")
        except UploadRangeWrong as caught:
            refusal = caught
        except SizeInvalid:
            assert length is not None
            assert length != len(data)
            return
        else:
            assert expected in (None, len(data))
            self.stored += data
            return
        assert start != len(before)
        assert (refusal.offset, refusal.upload) == (len(before), "upload")

    def chunk(self, start: int, count: int) -> tuple[int, bytes]:
        start = min(start, len(self.BLOB) - 1)
        return start, self.BLOB[start : start + count]

    @precondition(lambda self: len(self.stored) < len(self.BLOB))
    @rule(count=st.integers(1, 100), says_length=st.booleans())
    def the_next_chunk(self, count: int, says_length: bool) -> None:
        start, data = self.chunk(len(self.stored), count)
        before = len(self.stored)
        said = f"{start}-{start + len(data) - 1}"
        self.send(start, data, said=said, length=len(data) if says_length else None)
        assert len(self.stored) == before + len(data), "a chunk in its place is never refused"

    @rule(start=st.integers(0, 600), count=st.integers(1, 100))
    def a_chunk_from_anywhere(self, start: int, count: int) -> None:
        start, data = self.chunk(start, count)
        self.send(start, data, said=f"{start}-{start + len(data) - 1}", length=len(data))

    @rule(count=st.integers(1, 100), wrong=st.integers(-5, 5).filter(bool))
    def a_chunk_of_another_length_than_it_says(self, count: int, wrong: int) -> None:
        before = self.stored
        start, data = self.chunk(len(self.stored), count)
        said = f"{start}-{start + len(data) - 1}"
        try:
            check_chunk(said, max(0, len(data) + wrong), len(self.stored), "upload")
        except (SizeInvalid, UploadRangeWrong):
            assert self.stored == before
        else:
            assert max(0, len(data) + wrong) == len(data)

    @precondition(lambda self: len(self.stored) < len(self.BLOB))
    @rule(count=st.integers(1, 100), says_length=st.booleans())
    def a_stream_without_a_range(self, count: int, says_length: bool) -> None:
        start, data = self.chunk(len(self.stored), count)
        self.send(start, data, said=None, length=len(data) if says_length else None)

    @rule(text=st.sampled_from(["5-4", "bytes 0-5/*", "", "0-", "0-18446744073709551616"]))
    def a_malformed_range(self, text: str) -> None:
        try:
            check_chunk(text, None, len(self.stored), "upload")
        except ContentRangeInvalid:
            return
        raise AssertionError(text)

    @invariant()
    def what_is_stored_is_a_beginning_of_the_blob(self) -> None:
        assert self.BLOB.startswith(self.stored)


Upload.TestCase.settings = settings(max_examples=examples(50), stateful_step_count=30, deadline=None)
TestUpload = Upload.TestCase
