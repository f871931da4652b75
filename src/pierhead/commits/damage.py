"""A blob whose bytes are not what its digest says is taken out of sight, in the commit that tells of it."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import BlobRow, Event


def lose_blob(tx: Tx, blob: BlobRow, why: str, images: Sequence[str]) -> bool:
    """From now on the blob is not there: a push of it is stored anew and heals every image, a proxy fetches it again.
    ``images`` (REPOSITORY/IMAGE) are those that lack it until then. False if it has other bytes meanwhile."""
    if not tx.blobs.lose(blob):
        return False
    tx.events.append(None, Event("blob.damaged", "", {"digest": blob.digest, "why": why, "images": list(images)}))
    return True
