"""Records of promotions: the keys that sign them, and the first of them made while nobody waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from pierhead.adapters.keys.records import RecordKeys
from pierhead.jobs.loop import Failed, Idle, Loop, Outcome, Worked
from pierhead.ports.clock import Clock, Entropy

RECORD_KEYS_FOLDER: Final = "record-keys"
_LOOK_SECONDS: Final = 600.0


def record_keys(data: Path, clock: Clock, entropy: Entropy) -> RecordKeys:
    """Of the installation that this data folder is."""
    return RecordKeys(data / RECORD_KEYS_FOLDER, clock, entropy)


class FirstKey:
    """One step of a loop: the library for keys takes its time to be read, and a promotion need not wait for it."""

    def __init__(self, keys: RecordKeys) -> None:
        self._keys = keys

    async def __call__(self) -> Outcome:
        """Never raises what the disk does."""
        try:
            made = await asyncio.to_thread(self._keys.make_first)
        except OSError as error:
            return Failed(f"the folder {RECORD_KEYS_FOLDER} cannot be used: {error.strerror or error}")
        return Worked("made the first key for records of promotions") if made else Idle()


def making_first(keys: RecordKeys) -> Loop:
    """The loop that makes the first key soon after the first start."""
    return Loop("record keys", FirstKey(keys), _LOOK_SECONDS)
