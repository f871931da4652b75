"""The services of a house: what each is called, its image, and its project. Looked up by any of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain.names import ImageName
from pierhead.domain.spelling import distance

NEAR_MAX: Final = 3
"""How many letters apart two names may be to be taken for each other, at most."""
_LETTERS_FOR_EACH: Final = 3


class Service(Struct, frozen=True, kw_only=True):
    """One service. ``project_id`` is GitLab's, ``repository_id`` GitHub's, as text, or empty."""

    name: str
    image: ImageName
    project_id: str = ""
    repository_id: str = ""
    owner: str = ""
    description: str = ""

    @property
    def last(self) -> str:
        """The last part of its image's name: ``server`` of ``orchestrator/server``."""
        return self.image.rpartition("/")[2]


class Catalogue(Mapping[str, Service]):
    """Services by their names, in the order in which they were written. An image and a project belong to one each."""

    __slots__ = ("_by_image", "_by_last", "_by_project", "_letters", "_services")

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._services: Final = {one.name: one for one in services}
        self._by_image: Final[dict[str, Service]] = {one.image: one for one in self._services.values()}
        self._by_project: Final = {one.project_id: one for one in self._services.values() if one.project_id}
        self._letters: Final = [(one, _letters(one.image)) for one in self._services.values()]
        self._by_last: Final[dict[str, list[Service]]] = {}
        for one in self._services.values():
            self._by_last.setdefault(one.last, []).append(one)

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    def __repr__(self) -> str:
        return f"Catalogue({list(self._services)})"

    def of_image(self, image: str) -> Service | None:
        """Whose image this is."""
        return self._by_image.get(image)

    def of_project(self, project_id: str) -> Service | None:
        """Whose project this is, by GitLab's number as text."""
        return self._by_project.get(project_id)

    def called(self, word: str) -> Service | None:
        """The one service that people may mean by a word: whose image ends with it, or else whose name it is. None if
        there is none, or if the images of several end with it."""
        ending = self._by_last.get(word, ())
        if ending:
            return ending[0] if len(ending) == 1 else None
        return self._services.get(word)

    def near(self, image: str, most: int) -> Sequence[Service]:
        """Services whose images are at most ``most`` letters from ``image``, the nearest first; the one whose image it
        is is not among them.

        A short last part allows fewer letters, one for each three that it has, since ``ux`` need not be ``ui``
        misspelt; what stands before it is compared with all of ``most``.
        """
        folder, mine = image.rpartition("/")[0], _letters(image)
        found: list[tuple[int, Service]] = []
        for one, letters in self._letters:
            allowed = min(most, NEAR_MAX)
            # Each slip brings in one letter at most and takes out one, which spares most of the work.
            if (mine & ~letters).bit_count() > allowed or (letters & ~mine).bit_count() > allowed:
                continue
            if one.image.rpartition("/")[0] == folder:
                allowed = min(allowed, len(one.last) // _LETTERS_FOR_EACH)
            apart = distance(image, one.image, allowed) if allowed else None
            if apart:
                found.append((apart, one))
        return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _letters(text: str) -> int:
    """Which characters there are, one bit for each."""
    found = 0
    for letter in set(text):
        found |= 1 << (ord(letter) & 127)
    return found
