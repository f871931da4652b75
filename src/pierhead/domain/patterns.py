"""Patterns of names, in which ``*`` stands for any characters, ``/`` too, and everything else for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final


class Patterns:
    """Several patterns; a name is met if one of them meets it. Two of these are equal if they hold the same patterns.

    Matching takes time linear in the lengths of name and patterns.
    """

    __slots__ = ("_exact", "_pieces", "every", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts: Final = tuple(sorted(set(texts)))
        self.every: Final = "*" in self.texts
        """Whether every name is met."""
        self._exact: Final = frozenset(text for text in self.texts if "*" not in text)
        self._pieces: Final = tuple(tuple(text.split("*")) for text in self.texts if "*" in text)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"Patterns({list(self.texts)})"

    def meets(self, name: str) -> bool:
        """Whether one of the patterns stands for ``name``."""
        return self.every or name in self._exact or any(_meets(pieces, name) for pieces in self._pieces)


EVERY: Final = Patterns(["*"])


class TagPatterns:
    """Patterns of tags: as ``Patterns``, and ``{version}`` alone for a version as releases are named: ``1.4.0``,
    ``2.0``, ``1.4.0-rc.1`` (semver.org, without the build's ``+``, which a tag cannot hold; two numbers will do)."""

    __slots__ = ("_patterns", "_versions", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts: Final = tuple(sorted(set(texts)))
        self._versions: Final = VERSION in self.texts
        self._patterns: Final = Patterns(text for text in self.texts if text != VERSION)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TagPatterns) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"TagPatterns({list(self.texts)})"

    def meets(self, tag: str) -> bool:
        """Whether one of the patterns stands for ``tag``."""
        return self._patterns.meets(tag) or (self._versions and is_version(tag))


def is_version(tag: str) -> bool:
    """Whether ``{version}`` stands for it."""
    return _VERSION.fullmatch(tag) is not None


VERSION: Final = "{version}"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-[0-9A-Za-z][0-9A-Za-z.-]*)?")
EVERY_TAG: Final = TagPatterns(["*"])


def _meets(pieces: tuple[str, ...], name: str) -> bool:
    """``pieces`` are a pattern's parts between its stars: the first begins the name, the last ends it, and the others
    follow in between; taking each at its first place leaves the most room for those behind."""
    first, last = pieces[0], pieces[-1]
    end = len(name) - len(last)
    if len(first) > end or not name.startswith(first) or not name.endswith(last):
        return False
    at = len(first)
    for piece in pieces[1:-1]:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
