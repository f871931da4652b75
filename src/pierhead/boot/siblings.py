"""Workers tell each other what they counted, so that whichever is asked for metrics answers for all of them.

Each writes a file of its own in the data folder every few seconds. The file of a worker that has ended stays: what it
counted is still true, and a sum that became smaller would look like a restart. A new parent begins anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pierhead.faces.ops.counted import Counted, decode, encode, ended

_EVERY_SECONDS: Final = 2.0
_FOLDER: Final = "metrics"


class Siblings:
    """The workers of one parent, as one of them sees the others."""

    def __init__(self, data: Path, now: Callable[[], Counted]) -> None:
        self._folder = data / _FOLDER
        self._run = f"{os.getppid()}-"
        self._own = self._folder / f"{self._run}{os.getpid()}"
        self._now = now
        self._told = b""

    async def tell_for_ever(self) -> None:
        """Writes whenever something has changed. A full disk makes metrics old and nothing else."""
        await asyncio.to_thread(self._begin)
        while True:
            await self.tell()
            await asyncio.sleep(_EVERY_SECONDS)

    async def tell(self) -> None:
        """Writes what this process counted."""
        told = encode(self._now())
        if told != self._told:
            self._told = told
            await asyncio.to_thread(self._write, told)

    def others(self) -> list[Counted]:
        """What they counted, at most a few seconds ago. Reads files."""
        found: list[Counted] = []
        for path in self._files():
            pid = path.name.removeprefix(self._run)
            if path == self._own or not path.name.startswith(self._run) or not pid.isdigit():
                continue
            told = _read(path)
            if told is not None:
                found.append(told if _runs(int(pid)) else ended(told))
        return found

    def _files(self) -> Iterator[Path]:
        try:
            yield from self._folder.iterdir()
        except OSError:
            return

    def _begin(self) -> None:
        """What an earlier parent's workers left goes."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._files():
                if not path.name.startswith(self._run):
                    path.unlink(missing_ok=True)
        except OSError:
            return

    def _write(self, told: bytes) -> None:
        scratch = self._own.with_suffix(".part")
        try:
            scratch.write_bytes(told)
            scratch.rename(self._own)
        except OSError:
            self._told = b""


def _read(path: Path) -> Counted | None:
    try:
        return decode(path.read_bytes())
    except OSError:
        return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
