"""Answers of look-ups, kept until the next commit: half the time of a look-up are the locks around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Belongs to the event loop's thread, while commits are made in another.

    An answer is kept under the count of commits that stood *before* it was read, and only if the count is the same
    after: what was read before a commit is never given after that commit has been acknowledged. A miss is not kept.
    """

    def __init__(self, commits: Callable[[], int] | None, most: int) -> None:
        """``commits`` counts; without it nothing is kept. At most ``most`` answers are."""
        self._commits = commits
        self._most = most
        self._as_of = -1
        self._known: dict[object, T] = {}

    def get(self, key: object) -> T | None:
        """What is known as of now; to be asked right before reading."""
        if self._commits is None:
            return None
        count = self._commits()
        if count != self._as_of:
            self._known.clear()
            self._as_of = count
        return self._known.get(key)

    def put(self, key: object, answer: T) -> None:
        """Keeps what was read after ``get`` said None, unless a commit came between."""
        if self._commits is None or self._commits() != self._as_of:
            return
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[key] = answer
