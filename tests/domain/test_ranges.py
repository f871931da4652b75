from __future__ import annotations

import pytest

from pierhead.domain import limits
from pierhead.domain.ranges import Page, Slice, check_chunk, parse_content_range, parse_page, parse_range
from pierhead.domain.refusals import (
    ContentRangeInvalid,
    QueryInvalid,
    RangeUnsatisfiable,
    SizeInvalid,
    UploadRangeWrong,
)

# --- Content-Range of a chunk --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-0", (0, 0)), ("5-9", (5, 9)), ("0-9223372036854775807", (0, 2**63 - 1)), ("007-9", (7, 9))],
)
def test_a_chunk_says_start_and_end(text: str, expected: tuple[int, int]) -> None:
    assert parse_content_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "5-4",
        "0--1",
        "-1-5",
        "bytes 0-5/*",
        "bytes 0-5/10",
        "bytes=0-5",
        "0-5/6",
        "0-5,7-9",
        "0-18446744073709551616",
        "0-9223372036854775808",
        "9" * 400 + "-" + "9" * 400,
        "",
        "-",
        "0-",
        "-5",
        " 0-5",
        "0-5 ",
        "0-5\n",
        "0 - 5",
        "+0-5",
        "0x0-0x5",
        "٠-٥",
        "1e1-2e1",
        "1_0-2_0",
    ],
)
def test_anything_else_is_no_chunk(text: str) -> None:
    with pytest.raises(ContentRangeInvalid):
        parse_content_range(text)


def test_a_chunk_at_the_offset_is_taken_with_its_length() -> None:
    assert check_chunk("0-9", 10, 0, "u") == 10
    assert check_chunk("10-19", None, 10, "u") == 10


def test_a_chunk_without_a_range_goes_behind_what_is_there() -> None:
    assert check_chunk(None, 7, 100, "u") == 7
    assert check_chunk(None, None, 100, "u") is None


@pytest.mark.parametrize(
    ("text", "what"), [("20-29", "gap"), ("0-9", "twice"), ("5-14", "overlap"), ("0-19", "from the beginning again")]
)
def test_a_chunk_elsewhere_is_refused_with_the_offset(text: str, what: str) -> None:
    assert str(UploadRangeWrong(1, "u")).startswith("The upload holds 1 byte, so the next chunk begins at 1.")
    with pytest.raises(UploadRangeWrong, match="The upload holds 10 bytes") as caught:
        check_chunk(text, None, 10, "the-upload")
    assert (caught.value.offset, caught.value.upload) == (10, "the-upload"), what


@pytest.mark.parametrize("length", [0, 9, 11, 2**63])
def test_range_and_length_have_to_agree(length: int) -> None:
    with pytest.raises(SizeInvalid):
        check_chunk("0-9", length, 0, "u")


def test_a_malformed_range_is_refused_before_its_place_is_judged() -> None:
    with pytest.raises(ContentRangeInvalid):
        check_chunk("bytes 0-9/10", 10, 50, "u")


# --- Range of a read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Slice(0, 1)),
        ("bytes=0-99", Slice(0, 100)),
        ("bytes=10-", Slice(10, 90)),
        ("bytes=99-", Slice(99, 1)),
        ("bytes=-1", Slice(99, 1)),
        ("bytes=-100", Slice(0, 100)),
        ("bytes=-1000", Slice(0, 100)),
        ("bytes=90-1000", Slice(90, 10)),
        ("bytes=90-" + "9" * 400, Slice(90, 10)),
        ("bytes=-" + "9" * 400, Slice(0, 100)),
        ("bytes=" + "0" * 400 + "7-7", Slice(7, 1)),
        ("Bytes=0-4", Slice(0, 5)),
        ("bytes= 0-4 ,", Slice(0, 5)),
        ("bytes=,,0-4", Slice(0, 5)),
        ("bytes=0-4,200-", Slice(0, 5)),
        ("bytes=0-4,-0", Slice(0, 5)),
        ("bytes=0-49,50-99", [Slice(0, 50), Slice(50, 50)]),
        ("bytes=50-59,0-9", [Slice(50, 10), Slice(0, 10)]),
        ("bytes=0-9, 20-29, -5", [Slice(0, 10), Slice(20, 10), Slice(95, 5)]),
        ("bytes=0-,0-,0-", Slice(0, 100)),
        ("bytes=50-59,0-9,55-64", [Slice(0, 10), Slice(50, 15)]),
        ("bytes=0-50,10-20,50-60", Slice(0, 61)),
    ],
)
def test_ranges_of_a_blob_of_100_bytes(header: str, expected: Slice | list[Slice]) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0-4,x",
        "bytes=0-4,5-4",
        "bytes=1-2-3",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=1.5-2",
        "bytes=٠-٥",
        "bytes 0-5",
        "items=0-5",
        "0-5",
        "bytes=0-4\n",
    ],
)
def test_what_is_no_range_of_bytes_is_ignored(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    "header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=200-,300-", "bytes=" + "9" * 400 + "-"]
)
def test_ranges_past_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeUnsatisfiable) as caught:
        parse_range(header, 100)
    assert caught.value.size == 100


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5", "bytes=7-9"])
def test_an_empty_blob_has_no_ranges(header: str) -> None:
    assert parse_range(header, 0) is None


def test_as_many_ranges_as_the_limit_are_served_apart_and_more_give_the_whole() -> None:
    most = limits.RANGES_PER_READ_MAX
    header = "bytes=" + ",".join(f"{10 * one}-{10 * one + 4}" for one in range(most))
    found = parse_range(header, 10_000)
    assert isinstance(found, list)
    assert len(found) == most
    assert parse_range(header + ",9000-", 10_000) is None
    assert parse_range("bytes=" + ",".join(["0-"] * 1_000), 10_000) is None
    assert parse_range("bytes=" + "," * 1_000 + "0-1", 10_000) is None


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (None, limits.PAGE_ITEMS_DEFAULT),
        ("0", 0),
        ("1", 1),
        ("1000", 1000),
        ("1001", limits.PAGE_ITEMS_MAX),
        ("2147483647", limits.PAGE_ITEMS_MAX),
        ("9" * 400, limits.PAGE_ITEMS_MAX),
        ("0" * 400 + "7", 7),
    ],
)
def test_a_page_has_at_most_so_many_entries(n: str | None, expected: int) -> None:
    assert parse_page(n, None) == Page(expected, "")


@pytest.mark.parametrize("n", ["", "-1", "abc", "1.5", "+1", " 1", "1 ", "0x10", "1_0", "٣", "1\n"])
def test_what_is_no_whole_number_from_0_is_refused(n: str) -> None:
    with pytest.raises(QueryInvalid, match="`n`"):
        parse_page(n, None)


@pytest.mark.parametrize("last", ["", "latest", "\x00", "../../etc/passwd", "\udc80", "é" * 2048])
def test_any_text_may_be_the_last_one_seen(last: str) -> None:
    assert parse_page("5", last) == Page(5, last)


@pytest.mark.parametrize("last", ["a" * 4097, "é" * 2049, "a" * 65536])
def test_a_text_longer_than_any_name_is_not_the_last_one_seen(last: str) -> None:
    with pytest.raises(QueryInvalid, match="`last`"):
        parse_page("5", last)


def test_numbers_that_python_itself_would_not_read_are_read() -> None:
    """``int`` refuses more than 4,300 digits with a ValueError, which would be a 500."""
    nines, zeros = "9" * 6_000, "0" * 6_000
    assert parse_range(f"bytes=90-{nines}", 100) == Slice(90, 10)
    assert parse_range(f"bytes={zeros}7-7", 100) == Slice(7, 1)
    assert parse_page(nines, None).n == limits.PAGE_ITEMS_MAX
    assert parse_page(zeros, None).n == 0
    with pytest.raises(ContentRangeInvalid):
        parse_content_range(f"0-{nines}")
