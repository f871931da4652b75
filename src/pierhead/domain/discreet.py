"""Values that hold a secret."""

from __future__ import annotations

from msgspec import Struct


class Discreet(Struct, frozen=True):
    """Its text, as it might get into a log, names its type and nothing that it holds."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []
