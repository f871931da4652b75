"""Write policies of hosted repositories."""

from __future__ import annotations

import enum


class WritePolicy(enum.Enum):
    """Whether tags may move (ALLOW), are written once (ALLOW_ONCE), or nothing may be written at all (DENY)."""

    ALLOW = "ALLOW"
    ALLOW_ONCE = "ALLOW_ONCE"
    DENY = "DENY"
