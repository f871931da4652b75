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
        # Numbers in lists of one: counting then hashes the key once.
        self._counts: dict[Key, list[int]] = {}
        self.lost = 0
        """Pulls that found no place: far more distinct things were pulled within seconds than is ever the case."""

    def note(self, member: RepositoryName, image: ImageName, digest: Digest, reference: Reference) -> None:
        """A manifest was handed out, or its head."""
        key = (member, image, digest, reference)
        found = self._counts.get(key)
        if found is not None:
            found[0] += 1
        else:
            self._add(key, 1)

    def take(self) -> dict[Key, int]:
        """What was counted since the last time; it has to be written or given back."""
        taken, self._counts = self._counts, {}
        return {key: times[0] for key, times in taken.items()}

    def give_back(self, taken: dict[Key, int]) -> None:
        """Counts of ``take`` that could not be written."""
        for key, times in taken.items():
            self._add(key, times)

    def _add(self, key: Key, times: int) -> None:
        found = self._counts.get(key)
        if found is not None:
            found[0] += times
        elif len(self._counts) < _MOST:
            self._counts[key] = [times]
        else:
            self.lost += times
