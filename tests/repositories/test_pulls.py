"""Pulls are counted in memory, within bounds, and none that could not be written is forgotten."""

from __future__ import annotations

import pytest

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.jobs.loop import Failed, Idle
from pierhead.repositories import pulls as module
from pierhead.repositories.pulls import Pulls

DEV, IMAGE, DIGEST = RepositoryName("dev"), ImageName("a/b"), Digest.of(b"x")


def test_pulls_are_counted_by_what_was_asked_for_and_taken_once() -> None:
    pulls = Pulls()
    for _ in range(3):
        pulls.note(DEV, IMAGE, DIGEST, Tag("latest"))
    pulls.note(DEV, IMAGE, DIGEST, DIGEST)
    assert pulls.take() == {(DEV, IMAGE, DIGEST, Tag("latest")): 3, (DEV, IMAGE, DIGEST, DIGEST): 1}
    assert pulls.take() == {}


def test_a_flood_of_names_takes_no_more_memory_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    pulls = Pulls()
    for number in range(25):
        pulls.note(DEV, IMAGE, DIGEST, Tag(f"t{number}"))
    pulls.note(DEV, IMAGE, DIGEST, Tag("t1"))
    taken = pulls.take()
    assert (len(taken), taken[DEV, IMAGE, DIGEST, Tag("t1")], pulls.lost) == (10, 2, 15)


async def test_what_the_database_does_not_take_is_kept_for_the_next_time() -> None:
    class Full:
        """A database whose disk is full, which no real one is on demand."""

        def __init__(self) -> None:
            self.full = True

        async def write(self, fn: object, *, durable: bool = True) -> None:
            if self.full:
                raise Unavailable("The disk is full.")

    pulls, store = Pulls(), Full()
    pulls.note(DEV, IMAGE, DIGEST, DIGEST)
    keep = KeepPulls(store, pulls)  # type: ignore[arg-type]
    assert isinstance(await keep(), Failed)
    pulls.note(DEV, IMAGE, DIGEST, DIGEST)
    store.full = False
    taken = pulls.take()
    assert list(taken.values()) == [2]
    pulls.give_back(taken)
    assert isinstance(await keep(), Idle)
    assert pulls.take() == {}
