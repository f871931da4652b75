"""Space beside the database that is given up when the disk is full, so that what frees space can be written still.

A deletion on a full disk needs room for its own transaction before any comes back. So a file of real blocks stands by
(``posix_fallocate``, not a hole). It is cut to nothing for the first write that may have it, and filled again once
twice its size is free. Its length says to every process, and to the next start, how it stands: nothing of it is there
(0 bytes), or there has not been room for one yet (no file).
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

ROOM_TIMES: Final = 2
"""So many times its size have to be free before it is taken again: what was just freed is not taken away at once."""
_START_BYTES: Final = 4 << 20
_MODE: Final = 0o600


class Reserve:
    """Of one process. ``size`` 0 is none."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self.held = 0
        """Bytes that are set aside now."""
        self.away = False
        """Whether it was given up, here or by another process, and is not back yet."""
        self._path = path
        self._changing = threading.Lock()
        self.look()

    def look(self) -> None:
        """How it stands now. One stat."""
        try:
            found = os.stat(self._path).st_size
        except OSError:
            found = -1
        self.held = max(found, 0)
        self.away = found == 0 and self.size > 0

    def give_up(self) -> bool:
        """Frees its blocks; False if there are none."""
        with self._changing:
            self.look()
            if not self.held or not self.size:
                return False
            try:
                os.truncate(self._path, 0)
            except OSError:
                return False
            self.look()
            return self.away

    def make_way(self) -> bool:
        """Before the database is opened, which writes: gives itself up on a disk that has no room for that."""
        return self._room() < _START_BYTES and self.give_up()

    def tend(self) -> bool:
        """Makes it, makes it anew, or takes it away if none is wanted. Whether one that was given up is back."""
        with self._changing:
            return self._tended()

    def _tended(self) -> bool:
        self.look()
        if not self.size:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self.held = 0
            return False
        if self.held == self.size:
            return False
        was_away = self.away
        if self._room() < ROOM_TIMES * self.size:
            return False
        self._take()
        return was_away and not self.away

    def _take(self) -> None:
        """All of it or, on a disk that is filled meanwhile, what there was before."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        except OSError:
            return
        before = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, self.size)
            os.ftruncate(handle, self.size)
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, before)
        finally:
            os.close(handle)
        self.look()

    def _room(self) -> int:
        """Bytes that are free to this account."""
        try:
            found = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize
