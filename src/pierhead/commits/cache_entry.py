"""What a proxy learned from its upstream: a manifest, what a tag stands for, and that it was asked.

A cached manifest may name blobs and manifests that are not here yet: they come when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.manifest import Index, Manifest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event, ImageId, ManifestId, NewManifest, RepositoryId


class CachePlace(Struct, frozen=True):
    """An image of a proxy. ``source`` names the upstream in the record of what happened."""

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    source: str


def keep_manifest(
    tx: Tx, place: CachePlace, digest: Digest, body: bytes, parsed: Manifest | Index, tag: Tag | None
) -> ManifestId:
    """Stores a manifest that the upstream gave, under ``tag`` if it was asked for by tag.

    Tags that were seen before (a HEAD tells the digest only) and waited for these bytes get them too. Nothing is
    written to the record if everything stood so already.
    """
    image = tx.images.ensure(place.repository, place.image)
    known = tx.manifests.find(image, [digest]).get(digest)
    manifest = known if known is not None else _store(tx, image, digest, body, parsed)
    if tag is not None:
        tx.cache.note(image, tag, digest, tx.now)
    _point(tx, place, image, tx.cache.waiting(image, digest), manifest, digest, new=known is None)
    return manifest


def note_tag(tx: Tx, place: CachePlace, tag: Tag, digest: Digest) -> ManifestId | None:
    """The upstream says that ``tag`` stands for ``digest``. Returns the manifest if the image has it, None if not."""
    image = tx.images.ensure(place.repository, place.image)
    tx.cache.note(image, tag, digest, tx.now)
    manifest = tx.manifests.find(image, [digest]).get(digest)
    if manifest is not None:
        _point(tx, place, image, [tag], manifest, digest, new=False)
    return manifest


def _store(tx: Tx, image: ImageId, digest: Digest, body: bytes, parsed: Manifest | Index) -> ManifestId:
    subject = None if parsed.subject is None else parsed.subject.digest
    rows = tx.blobs.expect([(one.digest, one.size) for one in parsed.required])
    children = tuple(child.digest for child in parsed.children) if isinstance(parsed, Index) else ()
    manifest = tx.manifests.put(
        NewManifest(
            digest,
            parsed.media_type,
            parsed.artifact_type,
            body,
            subject,
            tuple(row.id for row in rows.values()),
            children,
        )
    )
    tx.manifests.link(image, [manifest])
    if subject is not None:
        tx.manifests.refer(image, subject, parsed.artifact_type, manifest)
    return manifest


def _point(
    tx: Tx,
    place: CachePlace,
    image: ImageId,
    tags: Sequence[Tag],
    manifest: ManifestId,
    digest: Digest,
    *,
    new: bool,
) -> None:
    held = {tag for tag, _ in tx.tags.of_manifest(image, manifest)}
    moving = [tag for tag in tags if tag not in held]
    if not new and not moving:
        return
    before = tx.tags.pointing(image, moving)
    body: dict[str, object] = {"repository": place.name, "image": place.image, "digest": digest, "tags": moving}
    body["before"] = before
    event = tx.events.append(image, Event("cache", place.source, body))
    for tag in moving:
        tx.tags.move(image, tag, manifest, event)
