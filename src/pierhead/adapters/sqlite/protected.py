"""What is never touched by expiry wherever it lies: one statement for each reason, asked where it is removed.

Whoever adds a table that names digests people rely on adds its statement here; it takes the raw digest and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

# Where a digest was handed on to: a repository that is written once or closed holds it, so that it was promoted.
PROTECTED: Final[tuple[str, ...]] = ()


def why_protected(execute: Callable[..., Any], manifest: int) -> str:
    """The first reason that is found; "" if there is none."""
    raw = execute("SELECT digest FROM manifests WHERE id=?", (manifest,)).get
    for statement in PROTECTED:
        found = execute(statement, (raw,)).get
        if isinstance(found, str):
            return found
    return ""
