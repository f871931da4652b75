"""Variables of shells and of CI files: what ``$NAME`` stands for. What is not known stays open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_USE: Final = re.compile(rf"\$\$|\$(?P<plain>{_NAME})|\$\{{(?P<braced>{_NAME})(?::?[-=](?P<default>[^{{}}]*))?\}}")
_DEPTH_MAX: Final = 8
_CHARACTERS_MAX: Final = 4_096
_OPEN: Final = re.compile(r"zz0([0-9a-f]+)0zz")
"""An unknown variable as it stands in a text: a word that may be part of any name."""


def resolved(text: str, known: Mapping[str, str], depth: int = _DEPTH_MAX) -> str:
    """With what is known in place of each use; an unknown one becomes a word that ``shown`` turns back."""
    if "$" not in text or len(text) > _CHARACTERS_MAX:
        return text

    def put(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"]
        if name is None:
            return "$"
        value = known.get(name) or found["default"]
        if not value or depth <= 0:
            return f"zz0{name.encode().hex()}0zz"
        return resolved(value, known, depth - 1)

    return _USE.sub(put, text)


def is_open(text: str) -> bool:
    """Whether something in it is not known."""
    return _OPEN.search(text) is not None


def only_open(text: str) -> str:
    """The name of the variable that is all of the text; empty if it is anything else."""
    found = _OPEN.fullmatch(text)
    return "" if found is None else bytes.fromhex(found[1]).decode("ascii")


def shown(text: str) -> str:
    """For people: unknown variables as they were written."""
    return _OPEN.sub(lambda found: "$" + bytes.fromhex(found[1]).decode("ascii"), text)
