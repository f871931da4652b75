"""Tables: what a terminal shows and what a pipe gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pierhead.cli.gc import said
from pierhead.cli.tables import Column, Json, Look, ago, clean, digest, duration, human_size, plain, show

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PIPE = Look(terminal=False, width=20, color=False)
COLUMNS = (
    Column("NAME", plain("name")),
    Column("DIGEST", digest("digest"), 1),
    Column("NOTE", plain("note"), 2, right=True),
)
ITEMS: list[Json] = [
    {"name": "a", "digest": "sha256:" + "0123456789" * 6 + "abcd", "note": "x"},
    {"name": "longer", "digest": None, "note": None},
]


def terminal(width: int) -> Look:
    return Look(terminal=True, width=width, color=False, now=NOW)


def test_a_pipe_gets_every_column_however_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ITEMS, PIPE, "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "DIGEST", "NOTE"]
    assert lines[1].split() == ["a", str(ITEMS[0]["digest"]), "x"]
    assert lines[2].split() == ["longer", "-", "-"]


def test_a_narrow_terminal_loses_the_least_important_columns_and_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ITEMS, terminal(17), "")
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["NAME", "DIGEST"]
    assert out[1].split() == ["a", "01234567"]
    assert out[-1].startswith("Not shown: NOTE.")
    show(COLUMNS, ITEMS, terminal(3), "")
    assert capsys.readouterr().out.splitlines()[0] == "NAME"


def test_an_empty_table_is_a_sentence_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, [], PIPE, "There is none.")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "There is none.\n")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345_678, "12.3 MB"), (999_999_999, "1.00 GB"),
     (41_200_000_000, "41.2 GB"), (999_600, "1.00 MB"), (512_000_000, "512 MB"), (None, "")],
)  # fmt: skip
def test_sizes_are_counted_in_thousands_as_docker_does(size: int | None, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("before", "text"),
    [(timedelta(seconds=5), "5 s"), (timedelta(minutes=90), "1 h"), (timedelta(days=59), "59 d"),
     (timedelta(days=61), "23 Sep 2026"), (timedelta(seconds=-3), "0 s")],
)  # fmt: skip
def test_ages_are_shown_for_sixty_days_and_dates_after(before: timedelta, text: str) -> None:
    stamp = (NOW - before).isoformat().replace("+00:00", "Z")
    assert ago(stamp, terminal(80)) == text
    assert ago(stamp, PIPE) == stamp


def test_a_duration_is_told_in_its_largest_unit() -> None:
    assert [duration(n) for n in (0, 59, 60, 3599, 3600, 86_400 * 3)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "1 h",
        "3 d",
    ]


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert clean("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"


def test_what_nothing_refers_to_is_told_in_sentences_for_one_and_for_several() -> None:
    none = dict.fromkeys(
        ("blobs", "bytes", "condemned_blobs", "condemned_bytes", "leased_blobs", "deleted_manifests"), 0
    )
    assert said(none) == "Nothing refers to 0 blobs, 0 B."
    one = {**none, "blobs": 1, "bytes": 5, "condemned_blobs": 1, "condemned_bytes": 5}
    assert said(one) == "Nothing refers to 1 blob, 5 B; 1 of them, 5 B, is on its way out."
    more = {**none, "blobs": 3, "bytes": 9, "condemned_blobs": 2, "condemned_bytes": 7}
    more |= {"deleted_manifests": 1, "deleted_bytes": 4}
    assert said(more) == (
        "Nothing refers to 3 blobs, 9 B; 2 of them, 7 B, are on their way out. "
        "Kept to be brought back: 1 deleted image, 4 B (`pierhead tag deleted`, `tag purge`)."
    )
