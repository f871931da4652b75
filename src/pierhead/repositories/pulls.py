"""When content was last pulled: counted in memory, written every few seconds, waited for by nobody.

A pull costs one look-up and one store in a dictionary. HEAD counts as well as GET: a node that has an image asks no
more than that before it starts it.
"""

from __future__ import annotations

from typing import Final

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, RepositoryName

Key = tuple[RepositoryName, ImageName, Digest, Reference]

_MOST: Final = limits.PULLS_COUNTED_MAX


class Pulls:
    """Of one process; all calls come from its event loop."""

    __slots__ = ("_counts", "lost")

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self.lost = 0
        """Pulls that found no place: far more distinct things were pulled within seconds than is ever the case."""

    def note(self, member: RepositoryName, image: ImageName, digest: Digest, reference: Reference) -> None:
        """A manifest was handed out, or its head."""
        counts = self._counts
        key = (member, image, digest, reference)
        if key in counts:
            counts[key] += 1
        elif len(counts) < _MOST:
            counts[key] = 1
        else:
            self.lost += 1

    def take(self) -> dict[Key, int]:
        """What was counted since the last time; it has to be written or given back."""
        taken, self._counts = self._counts, {}
        return taken

    def give_back(self, taken: dict[Key, int]) -> None:
        """Counts of ``take`` that could not be written."""
        for key, times in taken.items():
            if key in self._counts or len(self._counts) < _MOST:
                self._counts[key] = self._counts.get(key, 0) + times
            else:
                self.lost += times
