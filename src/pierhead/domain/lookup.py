"""Rules of names: one-word names of Docker Hub, namespaces that no upstream is asked for, the path form of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import NameInvalid, RepositoryUnknown

_LIBRARY: Final = "library/"


def library_spelling(image: ImageName, enabled: bool = True) -> ImageName:
    """The name under which a proxy asks its upstream: ``nginx`` -> ``library/nginx``, if the proxy does so.

    Other names stay. Source: Docker's distribution/reference, "familiar names". Raises NameInvalid if the result is
    longer than a name can be.
    """
    return ImageName.parse(_LIBRARY + image) if enabled and "/" not in image else image


def fold_library(image: ImageName) -> ImageName:
    """The short spelling: ``library/nginx`` -> ``nginx``; other names stay."""
    head, rest = image.head()
    return ImageName(rest) if head == "library" and rest and "/" not in rest else image


class Reserve:
    """The names that no proxy among a group's members is ever asked for, as ``Patterns``."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = Patterns(patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def holds(self, image: ImageName) -> bool:
        """Whether a pattern meets ``image`` in either spelling, with and without ``library/``.

        Both spellings reach the same image upstream, so a name that is reserved in one is reserved in the other.
        """
        if not self:
            return False
        spellings: tuple[str, ...] = (image,)
        if "/" not in image:
            spellings = (image, _LIBRARY + image)
        elif image.startswith(_LIBRARY):
            spellings = (image, fold_library(image))
        return any(self._patterns.meets(name) for name in spellings)


def split_path(full: str, known: Collection[RepositoryName]) -> tuple[RepositoryName, ImageName]:
    """``REPOSITORY/IMAGE``, as the main port takes it, in its two parts: ``known`` are the repositories there are.

    Raises NameInvalid if either part is no name or the image is missing, RepositoryUnknown for another repository.
    """
    first, slash, rest = full.partition("/")
    repository = RepositoryName.parse(first)
    if repository not in known:
        raise RepositoryUnknown(first, sorted(known))
    if not slash:
        raise NameInvalid(full, "the image's name goes behind the repository's, as in REPOSITORY/IMAGE")
    return repository, ImageName.parse(rest)
