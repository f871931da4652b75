"""Notices that another process has made, changed or disabled an account: who is remembered here is not for long.

Who signs in anew, and every access token, has the database asked in any case.
"""

from __future__ import annotations

from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome
from pierhead.repositories.directory import Directory


class WatchAccounts:
    """A step costs a look-up of microseconds."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def __call__(self) -> Outcome:
        """Never has more to do: what is new is read as a whole."""
        try:
            await self._directory.fresh()
        except Unavailable as failure:
            return Failed(failure.message)
        return Idle()
