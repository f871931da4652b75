"""The ring of days: what it tells is what was counted, as far as it reaches back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.pull_days import DAY, SHOWN, SLOTS, added, counted, day_of, together


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 300)), max_size=60), st.integers(0, 30))
def test_a_ring_tells_each_day_of_the_last_ninety_and_no_other(pulls: list[tuple[int, int]], later: int) -> None:
    ring, last, wanted = b"", 0, dict[int, int]()
    for day, times in sorted(pulls):
        ring = added(ring, last, day, times)
        last = day
        wanted[day] = min(255, wanted.get(day, 0) + times)
    today = last + later
    assert counted(ring, last, today) == {day: n for day, n in wanted.items() if day > today - SHOWN} or not pulls


@given(st.integers(0, SLOTS * 2), st.integers(1, 5))
def test_a_worker_that_comes_late_adds_to_its_day_and_to_no_newer_one(late: int, times: int) -> None:
    today = 1_000
    ring = added(added(b"", 0, today, 7), today, today - late, times)
    told = counted(ring, today, today)
    assert told[today] == (7 + times if late == 0 else 7)
    assert told.get(today - late, 0) == (told[today] if late == 0 else times if late < SHOWN else 0)


def test_days_change_at_midnight_utc() -> None:
    assert [day_of(DAY - 1), day_of(DAY)] == [0, 1]


def test_a_pull_by_tag_and_then_by_digest_is_one() -> None:
    assert together({1: 3, 2: 1}, {2: 4, 5: 1}) == {1: 3, 2: 4, 5: 1}
