"""Named points of the durable writes at which a test may make the world fail.

In production ``Faults.hit`` does nothing. A test walks the enum: the process ends, a call fails, or the disk is full at
each of them, and then the stored data is checked.
"""

from __future__ import annotations

import enum
from typing import Protocol


class FaultPoint(enum.Enum):
    """The steps of a durable write, in their order."""

    BLOB_WRITTEN = "blob.written"
    BLOB_SYNCED = "blob.synced"
    BLOB_LINKED = "blob.linked"
    BLOB_FOLDER_SYNCED = "blob.folder_synced"
    GROUP_BEGUN = "group.begun"
    GROUP_DONE = "group.done"
    GROUP_COMMITTED = "group.committed"
    RECLAIM_CONDEMNED = "reclaim.condemned"
    RECLAIM_DELETING = "reclaim.deleting"
    RECLAIM_UNLINKED = "reclaim.unlinked"


class Faults(Protocol):
    def hit(self, point: FaultPoint) -> None:
        """May raise OSError or end the process; in production it returns."""


class NoFaults:
    """What production runs with."""

    def hit(self, point: FaultPoint) -> None:
        """Does nothing."""
