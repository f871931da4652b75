"""Time and chance, which everybody is given and nobody takes."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """``now`` is wall time in microseconds since 1970 (UTC); ``monotonic`` seconds that never go back."""

    def now(self) -> int: ...
    def monotonic(self) -> float: ...


class Entropy(Protocol):
    """``token(n)`` is n random bytes fit for secrets; ``fraction`` is at least 0.0 and below 1.0, for jitter."""

    def token(self, size: int) -> bytes: ...
    def fraction(self) -> float: ...
