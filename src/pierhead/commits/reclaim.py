"""The way out of blobs that nothing wants: reviewed, condemned, marked as being deleted, forgotten.

The order of ``ports.blobs``: the mark is committed before the bytes go, and the row goes after them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from pierhead.domain.lifecycle import GONE, OUTWARD, BlobState
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import BlobRow


class Reviewed(Struct, frozen=True):
    """What one review did: blobs found wanted, condemned, and now being deleted (older ones too), all counted.

    ``forgotten`` never had bytes. ``leaving`` are those whose bytes have to go once this is committed.
    """

    wanted: int
    condemned: int
    forgotten: int
    leaving: Sequence[BlobRow]


def review_blobs(tx: Tx, quarantine: int, limit: int) -> Reviewed:
    """Looks at up to ``limit`` blobs whose review is due. ``quarantine`` is in microseconds.

    A blob that anything wants stays; one that nothing wants takes one step out, and the next after the quarantine.
    """
    wanted = condemned = forgotten = 0
    for blob in tx.reclaims.due(limit):
        until = tx.reclaims.wanted(blob.id)
        if until is not None:
            wanted += 1
            if until:
                tx.reclaims.postpone(blob.id, until)
            else:
                tx.reclaims.settle(blob.id)
            continue
        step = OUTWARD[blob.state]
        if step is GONE:
            tx.reclaims.forget(blob.id, blob.generation)
            forgotten += 1
            continue
        tx.reclaims.mark(blob, step)
        if step is BlobState.CONDEMNED:
            tx.reclaims.postpone(blob.id, tx.now + quarantine)
            condemned += 1
    return Reviewed(wanted, condemned, forgotten, tx.reclaims.deleting(limit))


def forget_blobs(tx: Tx, deleted: Sequence[BlobRow]) -> None:
    """After their bytes have gone. A blob that came back meanwhile has another generation, and stays."""
    for blob in deleted:
        tx.reclaims.forget(blob.id, blob.generation)
