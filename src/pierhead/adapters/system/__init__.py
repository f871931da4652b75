"""The machine's own clock and randomness."""

from __future__ import annotations

import random
import secrets
import time


class SystemClock:
    """Wall time and monotonic time of this machine."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class SystemEntropy:
    """The operating system's random numbers."""

    def token(self, size: int) -> bytes:
        """``size`` random bytes, fit for secrets."""
        return secrets.token_bytes(size)

    def fraction(self) -> float:
        """At least 0.0 and below 1.0; for jitter, not for secrets."""
        return random.random()
