"""The states of a blob and the moves between them: one table, obeyed by the code and walked by the tests.

A blob that nothing wants goes out in steps with a commit between them, so that a push, a mount or a HEAD can call it
back until the last moment, and a crash anywhere is finished by the next run.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class BlobState(enum.IntEnum):
    """``ABSENT``: named by a cached manifest, bytes not here. ``CONDEMNED`` is still served; ``DELETING`` is not."""

    ABSENT = 0
    LIVE = 1
    CONDEMNED = 2
    DELETING = 3


GONE: Final = None
"""No row any more."""

MOVES: Final[Mapping[BlobState | None, frozenset[BlobState | None]]] = {
    GONE: frozenset({BlobState.ABSENT, BlobState.LIVE}),
    # Bytes arrive, or no manifest names it any more.
    BlobState.ABSENT: frozenset({BlobState.LIVE, GONE}),
    BlobState.LIVE: frozenset({BlobState.CONDEMNED}),
    # Somebody wants it again, or its quarantine is over.
    BlobState.CONDEMNED: frozenset({BlobState.LIVE, BlobState.DELETING}),
    # New bytes arrive under a new generation; or its bytes are gone, and a cached manifest may name it still.
    BlobState.DELETING: frozenset({BlobState.LIVE, BlobState.ABSENT, GONE}),
}
"""What each state may become. To stay is always allowed."""

OUTWARD: Final[Mapping[BlobState, BlobState | None]] = {
    BlobState.ABSENT: GONE,
    BlobState.LIVE: BlobState.CONDEMNED,
    BlobState.CONDEMNED: BlobState.DELETING,
}
"""The step that a review takes with a blob that nothing wants."""

SERVED: Final = frozenset({BlobState.LIVE, BlobState.CONDEMNED})
"""States in which a blob is found by those who may read it."""
