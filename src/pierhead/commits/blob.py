"""A blob's rows: landed, given to an image that had the bytes already, or mounted from another image."""

from __future__ import annotations

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import RepositoryReadOnly, UploadUnknown
from pierhead.ports.landed import Landed
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import BlobState, ImageId, RepositoryId, UploadRow


class Place(Struct, frozen=True):
    """Where a blob goes. ``upload`` is the session that brought it, if there was one; ``lease`` in microseconds.

    ``unsaved`` is the row that this session does not have yet.
    ``cached``: it came from an upstream into a proxy's cache, which no client may write to.
    """

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    lease: int
    upload: str | None = None
    cached: bool = False
    unsaved: UploadRow | None = None


def land_blob(tx: Tx, place: Place, landed: Landed) -> str:
    """Bytes that are durable become a blob of the image. Returns the generation that they replace ("" if none).

    Raises RepositoryReadOnly, UploadUnknown if the session ended meanwhile.
    """
    image = _prepared(tx, place)
    blob, replaced = tx.blobs.land(landed.digest, landed.size, landed.generation, landed.body)
    tx.blobs.link(image, [blob])
    tx.blobs.lease(image, [blob], tx.now + place.lease, live=True)
    _end(tx, place, landed.digest)
    return replaced


def adopt_blob(tx: Tx, place: Place, digest: Digest, size: int) -> bool:
    """The same bytes are here already: they become the image's. False if they are not, or are on their way out.

    The caller has read the bytes whole, so nothing is given to somebody who did not have it.
    """
    row = tx.blobs.rows([digest]).get(digest)
    if row is None or row.size != size or row.state not in (BlobState.LIVE, BlobState.CONDEMNED):
        return False
    image = _prepared(tx, place)
    tx.blobs.link(image, [row.id])
    tx.blobs.lease(image, [row.id], tx.now + place.lease, live=row.state is BlobState.LIVE)
    _end(tx, place, digest)
    return True


def mount_blob(tx: Tx, place: Place, digest: Digest, sources: list[tuple[RepositoryId, ImageName]]) -> bool:
    """Gives the image a blob that one of ``sources`` has, which the caller may read. False if none has it."""
    for repository, name in sources:
        source = tx.images.find(repository, name)
        if source is None:
            continue
        row = tx.blobs.linked(source, [digest]).get(digest)
        if row is None:
            continue
        image = _prepared(tx, place)
        tx.blobs.link(image, [row.id])
        tx.blobs.lease(image, [row.id], tx.now + place.lease)
        return True
    return False


def renew_blob(tx: Tx, repository: RepositoryId, image: ImageName, digest: Digest, lease: int) -> bool:
    """Keeps a blob for a client that was told it is here and will name it soon. False if it has gone meanwhile."""
    found = tx.images.find(repository, image)
    row = None if found is None else tx.blobs.linked(found, [digest]).get(digest)
    if found is None or row is None:
        return False
    tx.blobs.lease(found, [row.id], tx.now + lease)
    return True


def adopt_orphan(tx: Tx, digest: Digest, size: int, generation: str) -> bool:
    """Bytes that lie in the store, and that the caller has read and compared, fill a blob that a cached manifest names.

    False if it is not ABSENT any more, or has another size: the bytes are nobody's then.
    """
    row = tx.blobs.rows([digest]).get(digest)
    if row is None or row.state is not BlobState.ABSENT or row.size != size:
        return False
    tx.blobs.land(digest, size, generation, None)
    return True


def _prepared(tx: Tx, place: Place) -> ImageId:
    if not place.cached and tx.repositories.policy(place.repository) is WritePolicy.DENY:
        raise RepositoryReadOnly(place.name)
    return tx.images.ensure(place.repository, place.image)


def _end(tx: Tx, place: Place, digest: Digest) -> None:
    if place.unsaved is not None:
        if not tx.uploads.conclude(place.unsaved, digest):
            raise UploadUnknown
    elif place.upload is not None and not tx.uploads.end(place.upload, digest):
        raise UploadUnknown
