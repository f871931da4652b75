"""Has passwords that are kept elsewhere read again: on their schedule, and when a file changes.

A step only begins readings and waits for none, so that a Vault that hangs holds up neither a stop nor another account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pierhead.jobs.loop import Idle, Outcome
from pierhead.repositories.rotating import RotatingPassword


class RereadPasswords:
    """``passwords`` gives those that there are now."""

    def __init__(self, passwords: Callable[[], Iterable[RotatingPassword]]) -> None:
        self._passwords = passwords

    async def __call__(self) -> Outcome:
        """Costs a look at each file."""
        for one in list(self._passwords()):
            one.tick()
        return Idle()
