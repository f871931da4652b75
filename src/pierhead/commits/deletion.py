"""Tags, manifests and blobs are taken away; the space comes back later, by reclaim."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from pierhead.commits.promotion_pointer import refuse_pointer
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy, Writing
from pierhead.domain.refusals import (
    BlobNamedByManifest,
    BlobUnknown,
    ManifestNeeded,
    ManifestUnknown,
    RepositoryReadOnly,
)
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event, ImageId, RepositoryId


class Deletion(Struct, frozen=True):
    """Who deletes where. ``lease`` in microseconds: how long blobs stay for clients that were told they are here.
    ``keep`` in microseconds: how long what is deleted can be brought back; with 0 it is gone."""

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    account: str
    lease: int
    circumstances: Mapping[str, object] = field(default_factory=dict)
    keep: int = 0


def delete_tag(tx: Tx, deletion: Deletion, tag: Tag) -> None:
    """Raises RepositoryReadOnly, ManifestUnknown, PointerReserved for the tag of what a stage holds. A tag written once
    stays spent: no other bytes ever get it."""
    image, writing = _image(tx, deletion, tag)
    digest = tx.tags.pointing(image, [tag]).get(tag)
    if digest is None:
        raise ManifestUnknown(deletion.image, tag, deletion.name)
    refuse_pointer(tx, image, deletion.name, deletion.image, tag)
    event = tx.events.append(image, _event("delete tag", deletion, tags=[tag], digest=digest, before={tag: digest}))
    tx.tags.close(image, tag, event, spend=writing.is_once(tag))


def delete_manifest(tx: Tx, deletion: Deletion, digest: Digest) -> None:
    """Takes the manifest and the tags that point at it; both can be brought back while it is kept.

    Raises RepositoryReadOnly, ManifestUnknown, ManifestNeeded if an index of the image lists it, a stage holds it now,
    or a tag that is written once points at it.
    """
    image, writing = _image(tx, deletion, digest)
    manifest = tx.manifests.find(image, [digest]).get(digest)
    if manifest is None:
        raise ManifestUnknown(deletion.image, digest, deletion.name)
    if parents := tx.manifests.parents(image, digest):
        raise ManifestNeeded(digest, f"the index {parents[0]} lists it. Delete that first")
    if tx.pointers.holds(image, manifest):
        raise ManifestNeeded(
            digest, "it is what the stage holds now. Promote another image there first, go back, or empty it"
        )
    tags = tx.tags.of_manifest(image, manifest)
    # Tags that were there before they came to be written once count too.
    if once := [tag for tag, written_once in tags if written_once or writing.is_once(tag)]:
        raise ManifestNeeded(digest, f"the tag {once[0]} is written once and points at it. Delete the tag first")
    names = [tag for tag, _ in tags]
    what = {"digest": digest, "tags": names, "before": dict.fromkeys(names, digest)}
    event = tx.events.append(image, _event("delete manifest", deletion, **what))
    for tag, _ in tags:
        tx.tags.close(image, tag, event, spend=False)
    if deletion.keep:
        tx.trash.throw(image, [manifest], event)
        return
    tx.reclaims.review(tx.manifests.blobs(manifest), tx.now + deletion.lease)
    tx.manifests.unlink(image, manifest)


def delete_blob(tx: Tx, deletion: Deletion, digest: Digest) -> None:
    """Takes a blob from the image. Raises RepositoryReadOnly, BlobUnknown, BlobNamedByManifest.

    Its bytes stay for a lease's time: a client may have been told that another image has them.
    """
    _writable(tx, deletion)
    image = tx.images.find(deletion.repository, deletion.image)
    row = None if image is None else tx.blobs.linked(image, [digest]).get(digest)
    if image is None or row is None:
        raise BlobUnknown(deletion.image, digest, deletion.name)
    named_by = tx.blobs.named_by(image, row.id)
    if named_by is not None:
        raise BlobNamedByManifest(digest, named_by)
    tx.events.append(image, _event("delete blob", deletion, digest=digest))
    tx.blobs.unlink(image, row.id)
    tx.reclaims.review([row.id], tx.now + deletion.lease)


def _writable(tx: Tx, deletion: Deletion) -> Writing:
    writing = tx.repositories.writing(deletion.repository)
    if writing.policy is WritePolicy.DENY:
        raise RepositoryReadOnly(deletion.name)
    return writing


def _image(tx: Tx, deletion: Deletion, reference: str) -> tuple[ImageId, Writing]:
    writing = _writable(tx, deletion)
    image = tx.images.find(deletion.repository, deletion.image)
    if image is None:
        raise ManifestUnknown(deletion.image, reference, deletion.name)
    return image, writing


def _event(kind: str, deletion: Deletion, **what: object) -> Event:
    where = {"repository": deletion.name, "image": deletion.image}
    return Event(kind, deletion.account, {**where, **what, **deletion.circumstances})
