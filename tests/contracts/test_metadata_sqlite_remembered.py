"""Look-ups that are remembered are never older than the last commit that was acknowledged."""

from __future__ import annotations

from pierhead.adapters.sqlite.remembered import Remembered


class Commits:
    """A count that a test moves on by hand."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        return self.count


def test_an_answer_is_remembered_until_the_next_commit() -> None:
    commits = Commits()
    remembered = Remembered[str](commits, 10)
    assert remembered.get("a") is None
    remembered.put("a", "one")
    assert remembered.get("a") == "one"
    commits.count += 1
    assert remembered.get("a") is None


def test_an_answer_that_was_read_before_a_commit_is_not_kept_after_it() -> None:
    commits = Commits()
    remembered = Remembered[str](commits, 10)
    assert remembered.get("a") is None
    commits.count += 1
    remembered.put("a", "old")
    assert remembered.get("a") is None


def test_no_more_are_kept_than_allowed() -> None:
    remembered = Remembered[int](Commits(), 3)
    for number in range(100):
        assert remembered.get(number) is None
        remembered.put(number, number)
        assert remembered.get(number) == number
    assert sum(remembered.get(number) is not None for number in range(100)) <= 3


def test_nothing_is_remembered_where_others_may_write() -> None:
    remembered = Remembered[str](None, 10)
    remembered.put("a", "one")
    assert remembered.get("a") is None
