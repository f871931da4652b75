"""A verified blob arrives, pushed by a client or fetched from an upstream: durable bytes first, then the row.

The order is that of ``ports.blobs``. Bytes that are here already are not stored twice: the image gets the blob that
there is, and what came is thrown away, which is no leak since the sender had all of it.
"""

from __future__ import annotations

import contextlib
import os

from pierhead.commits.blob import Place, adopt_blob, land_blob
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import DigestMismatch, Unavailable
from pierhead.ports.blobs import BlobStore, Incoming, Landed, SendFile, StoreFailed
from pierhead.ports.fills import FillLead
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobRow, BlobState


async def land(incoming: Incoming, digest: Digest, place: Place, store: Store, blobs: BlobStore) -> None:
    """Ends an upload: compares, makes its bytes durable, commits its row, and returns when that is on disk.

    Raises DigestMismatch, RepositoryReadOnly, UploadUnknown, StoreFailed: nothing is left of the upload's bytes then.
    Raises Unavailable if nobody can say whether the commit took place: the bytes stay, and reclaim takes them if no
    row names them.
    """
    try:
        await _compare(incoming, digest)
        # A small blob is on no disk yet, and whether it is known the commit looks for itself.
        known = None if incoming.size <= limits.BLOB_INLINE_BYTES_MAX else await store.lookups.known(digest)
        broken = known is not None and not is_intact(known, blobs)
        if known is not None and not broken and known.state is BlobState.LIVE and known.size == incoming.size:
            size = incoming.size
            if await store.write(lambda tx: adopt_blob(tx, place, digest, size), brief=True):
                return
        landed = await incoming.land(digest)
        # The same request, sent twice at once, finds the upload held until its row says that it has ended.
        await _commit(landed, place, store, blobs, replace=broken)
    finally:
        await incoming.discard()


async def land_fill(lead: FillLead, digest: Digest, place: Place, store: Store, blobs: BlobStore) -> None:
    """As ``land`` for a cache fill, whose key the caller goes on to hold. The caller has looked for the row before."""
    try:
        await _compare(lead, digest)
        known = await store.lookups.known(digest)
        landed = await lead.land(digest)
    except BaseException:
        await lead.discard()
        raise
    await _commit(landed, place, store, blobs, replace=known is not None and not is_intact(known, blobs))


def is_intact(row: BlobRow, blobs: BlobStore) -> bool:
    """Whether the file of a blob is there and as long as its row says, so that a push mends what a disk has lost.

    Small blobs lie in their row. One ``stat`` on the loop; other stores than files answer for themselves.
    """
    if row.state not in (BlobState.LIVE, BlobState.CONDEMNED) or row.size <= limits.BLOB_INLINE_BYTES_MAX:
        return True
    delivery = blobs.open(row.digest, row.generation, row.size)
    if not isinstance(delivery, SendFile):
        return True
    try:
        return os.stat(delivery.path, follow_symlinks=False).st_size == row.size
    except FileNotFoundError:
        return False


async def _compare(arrived: Incoming | FillLead, digest: Digest) -> None:
    computed = await arrived.digest(digest.algorithm)
    if computed != digest:
        raise DigestMismatch(digest, computed)


async def _commit(landed: Landed, place: Place, store: Store, blobs: BlobStore, *, replace: bool) -> None:
    """``replace``: what the row names is damaged, so that these bytes take its place.

    Otherwise whoever came first stands: a reader may be about to open his file.
    """

    def commit(tx: Tx) -> str:
        if not replace and adopt_blob(tx, place, landed.digest, landed.size):
            return landed.generation
        return land_blob(tx, place, landed)

    try:
        superfluous = await store.write(commit, brief=True)
    except Unavailable:
        raise
    except Exception:
        if landed.body is None:
            await _take_away(blobs, landed.digest, landed.generation)
        raise
    if superfluous and (landed.body is None or superfluous != landed.generation):
        await _take_away(blobs, landed.digest, superfluous)


async def _take_away(blobs: BlobStore, digest: Digest, generation: str) -> None:
    # What cannot be taken away now is named by no row, and reclaim finds it.
    with contextlib.suppress(StoreFailed):
        await blobs.delete([(digest, generation)])
