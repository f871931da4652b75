"""What tells whether a key of the configuration has changed, and gives nothing of its value away."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from pierhead.boot.settings import AccountSettings, Settings

_KEYS: Final = {"log_format": "log", "grace_seconds": "passwords"}
"""Of the fields that are called otherwise than in the file."""
_ABOUT_THE_FILE: Final = frozenset({"digest", "source", "lines"})
_MARK_CHARACTERS: Final = 16


def marks(settings: Settings) -> Mapping[str, str]:
    """For each key at the margin of the file a part of a hash over its value."""
    found: dict[str, str] = {}
    for name in settings.__struct_fields__:
        if name not in _ABOUT_THE_FILE:
            text = _text(getattr(settings, name))
            digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            found[_KEYS.get(name, name)] = digest[:_MARK_CHARACTERS]
    return found


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_text(one)}" for name, one in value.items()) + "}"
    if isinstance(value, AccountSettings):
        return repr([getattr(value, name) for name in value.__struct_fields__])  # its own repr tells nothing
    return repr(value)
