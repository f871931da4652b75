"""What time it is, for commands that start no server."""

from __future__ import annotations

from pierhead.adapters.system import SystemClock


def seconds_since_1970() -> float:
    """By this machine's clock."""
    return SystemClock().now() / 1_000_000
