"""Stored blobs on their way out: how to send one, and taking them away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from pierhead.adapters.files.ground import Ground
from pierhead.adapters.files.layout import sync_folder
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import SendFile


def delivery(ground: Ground, digest: Digest, generation: str, size: int) -> SendFile:
    """See ``BlobStore.open``; does no I/O."""
    return SendFile(ground.layout.blob(digest, generation), size)


def take_away(ground: Ground, places: Sequence[tuple[Digest, str]]) -> None:
    """Unlinks, then syncs each folder once. Blocks. Raises StoreFailed; what is gone by then may come back.

    A folder is synced even when nothing was there to unlink: a process that was killed between the two steps has left
    a name that is gone but not durably so.
    """
    folders = set()
    try:
        for digest, generation in places:
            folders.add(ground.layout.blob_folder(digest))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(ground.layout.blob(digest, generation))
        for folder in folders:
            sync_folder(folder)
    except OSError as error:
        raise ground.health.failure(error, "stored blobs cannot be taken away") from error
