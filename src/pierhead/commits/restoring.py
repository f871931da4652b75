"""Undo: a tag is put back to where it pointed, and what was deleted comes back as it was.

What decides is read in the transaction that writes. Tags come back as a push would write them: a tag that is written
once only with the bytes that it had, and nothing at all where the write policy is DENY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from pierhead.commits.manifest import write_tag
from pierhead.commits.promotion_pointer import refuse_pointer
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy, Writing
from pierhead.domain.refusals import ManifestUnknown, RepositoryReadOnly
from pierhead.domain.refusals_tags import NotKept, TagMoved, TagNeverThere, TagStands
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event, EventId, ImageId, ManifestId, RepositoryId

_LISTED: Final = "`pierhead tag deleted` lists what can be brought back."


class Undo(Struct, frozen=True):
    """Who undoes something where. ``lease`` in microseconds, as of a deletion."""

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    account: str
    lease: int
    circumstances: Mapping[str, object] = field(default_factory=dict)


class Undone(Struct, frozen=True):
    """``tags`` point at the manifest now; ``before`` is what the one that was asked for pointed at."""

    digest: Digest
    tags: tuple[Tag, ...]
    before: Digest | None
    changed: bool


def roll_back(tx: Tx, undo: Undo, tag: Tag, to: Digest, seen: Digest) -> Undone:
    """Points the tag at what it pointed at before, if it still points at ``seen``.

    Raises RepositoryReadOnly, ManifestUnknown, TagMoved, TagNeverThere, NotKept, TagWrittenOnce, PointerReserved.
    """
    image, writing = _image(tx, undo, tag)
    refuse_pointer(tx, image, undo.name, undo.image, tag)
    now = tx.tags.pointing(image, [tag]).get(tag)
    if now != seen:
        raise TagMoved(undo.image, tag, seen, now or "")
    if now == to:
        return Undone(to, (tag,), now, changed=False)
    if tx.trash.stood(image, tag, to) is None:
        raise TagNeverThere(undo.image, tag, to, undo.name)
    manifest, signatures = _bring_back(tx, undo, image, to)
    event = tx.events.append(image, _event("rollback", undo, tags=[tag], digest=to, before={tag: now}))
    _reopen(tx, image, signatures, event)
    write_tag(tx, image, tag, manifest, event, writing, undo.name, undo.image)
    return Undone(to, (tag,), now, changed=True)


def restore_tag(tx: Tx, undo: Undo, tag: Tag, digest: Digest | None) -> Undone:
    """Opens a tag that is not there at what it pointed at last, or at ``digest`` if it ever did.

    Raises RepositoryReadOnly, ManifestUnknown, TagStands, TagNeverThere, NotKept, TagWrittenOnce, PointerReserved.
    """
    image, writing = _image(tx, undo, tag)
    refuse_pointer(tx, image, undo.name, undo.image, tag)
    now = tx.tags.pointing(image, [tag]).get(tag)
    if now is not None:
        raise TagStands(undo.image, tag, now)
    last = tx.trash.stood(image, tag, digest)
    if last is None:
        if digest is None:
            raise ManifestUnknown(undo.image, tag, undo.name)
        raise TagNeverThere(undo.image, tag, digest, undo.name)
    manifest, signatures = _bring_back(tx, undo, image, last)
    event = tx.events.append(image, _event("restore", undo, tags=[tag], digest=last, before={}))
    _reopen(tx, image, signatures, event)
    write_tag(tx, image, tag, manifest, event, writing, undo.name, undo.image)
    return Undone(last, (tag,), None, changed=True)


def restore_manifest(tx: Tx, undo: Undo, digest: Digest) -> Undone:
    """Brings a deleted image back with the tags that went with it, but for those that are taken meanwhile.

    Raises RepositoryReadOnly, ManifestUnknown, TagWrittenOnce.
    """
    image, writing = _image(tx, undo, digest)
    if digest in tx.manifests.find(image, [digest]):
        return Undone(digest, (), None, changed=False)
    thrown = tx.trash.find(image, [digest]).get(digest)
    if thrown is None:
        raise ManifestUnknown(undo.image, digest, undo.name, _LISTED)
    went = tx.trash.tags_of(image, thrown)
    taken = tx.tags.pointing(image, [tag for tag, _ in went])
    back = [(tag, stood) for tag, stood in went if tag not in taken]
    tx.trash.take_back(image, digest)
    names = [tag for tag, _ in back]
    event = tx.events.append(image, _event("restore", undo, tags=names, digest=digest, before={}))
    for tag, stood in back:
        manifest = tx.manifests.find(image, [stood]).get(stood)
        if manifest is not None:
            write_tag(tx, image, tag, manifest, event, writing, undo.name, undo.image)
    return Undone(digest, tuple(names), None, changed=True)


def purge_manifest(tx: Tx, undo: Undo, digest: Digest) -> None:
    """Forgets a deleted image now; its space comes back by reclaim. It cannot be brought back any more.

    Raises RepositoryReadOnly, ManifestUnknown.
    """
    image, _ = _image(tx, undo, digest)
    if digest not in tx.trash.find(image, [digest]):
        raise ManifestUnknown(undo.image, digest, undo.name, _LISTED)
    tx.events.append(image, _event("purge", undo, digest=digest))
    for manifest in tx.trash.with_it(image, digest):
        tx.reclaims.review(tx.manifests.blobs(manifest), tx.now + undo.lease)
        tx.trash.empty(image, manifest)


def _image(tx: Tx, undo: Undo, reference: str) -> tuple[ImageId, Writing]:
    writing = tx.repositories.writing(undo.repository)
    if writing.policy is WritePolicy.DENY:
        raise RepositoryReadOnly(undo.name)
    image = tx.images.find(undo.repository, undo.image)
    if image is None:
        raise ManifestUnknown(undo.image, reference, undo.name)
    return image, writing


_Signatures = Sequence[tuple[Tag, Digest]]
"""Tags under which clients keep signatures, and what they pointed at."""


def _bring_back(tx: Tx, undo: Undo, image: ImageId, digest: Digest) -> tuple[ManifestId, _Signatures]:
    """The manifest, out of the trash if it is there, and the tags of its signatures that went with it."""
    signatures: _Signatures = ()
    manifest = tx.manifests.find(image, [digest]).get(digest)
    if manifest is None:
        thrown = tx.trash.find(image, [digest]).get(digest)
        if thrown is not None:
            signatures = [(tag, stood) for tag, stood in tx.trash.tags_of(image, thrown) if tag.is_fallback]
        tx.trash.take_back(image, digest)
        manifest = tx.manifests.find(image, [digest]).get(digest)
    if manifest is None:
        raise NotKept(undo.image, digest, undo.name)
    return manifest, signatures


def _reopen(tx: Tx, image: ImageId, signatures: _Signatures, event: EventId) -> None:
    """Those that nobody wrote anew meanwhile."""
    taken = tx.tags.held(image, [tag for tag, _ in signatures])
    for tag, stood in signatures:
        manifest = tx.manifests.find(image, [stood]).get(stood)
        if tag not in taken and manifest is not None:
            tx.tags.move(image, tag, manifest, event)


def _event(kind: str, undo: Undo, **what: object) -> Event:
    return Event(kind, undo.account, {"repository": undo.name, "image": undo.image, **what, **undo.circumstances})
