"""A manifest, what it names, its tags and the event that tells of it: one commit, or nothing of it.

Everything that the decision rests on is read in here: the write policy, the blobs, who holds a tag.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import assert_never

from msgspec import Struct, field

from pierhead.commits.borrowing import borrow
from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.manifest import INDEX_TYPES, Index, Manifest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy, Writing
from pierhead.domain.refusals import ManifestBlobUnknown, ManifestInvalid, RepositoryReadOnly
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import (
    BlobId,
    BlobRow,
    Claimed,
    Event,
    EventId,
    Held,
    ImageId,
    ManifestId,
    NewManifest,
    RepositoryId,
)


class ManifestPush(Struct, frozen=True):
    """``body`` parsed to ``parsed``; ``circumstances`` go into the event (request id, address).

    ``lenders`` are the other members of the group that it was pushed through, as far as the account may read them.
    """

    repository: RepositoryId
    name: RepositoryName
    image: ImageName
    digest: Digest
    body: bytes
    parsed: Manifest | Index
    tags: tuple[Tag, ...]
    account: str
    circumstances: Mapping[str, object] = field(default_factory=dict)
    lenders: tuple[RepositoryId, ...] = ()


class ManifestAccepted(Struct, frozen=True):
    """``changed`` is False if everything stood so already."""

    digest: Digest
    subject: Digest | None
    tags: tuple[Tag, ...]
    changed: bool


def push_manifest(tx: Tx, push: ManifestPush) -> ManifestAccepted:
    """Raises RepositoryReadOnly, ManifestBlobUnknown naming each missing digest, ManifestInvalid, TagWrittenOnce."""
    writing = tx.repositories.writing(push.repository)
    if writing.policy is WritePolicy.DENY:
        raise RepositoryReadOnly(push.name)
    subject = None if push.parsed.subject is None else push.parsed.subject.digest
    image = tx.images.ensure(push.repository, push.image)
    if _stands(tx, image, push):
        if not push.tags:
            # An index that names it may be on its way: as new as if it had not been here, it is not yet untagged.
            tx.manifests.touch(image, push.digest)
        return ManifestAccepted(push.digest, subject, push.tags, changed=False)
    blobs = _needed(tx, image, push)
    manifest = tx.manifests.put(
        NewManifest(
            push.digest,
            push.parsed.media_type,
            push.parsed.artifact_type,
            push.body,
            subject,
            blobs,
            _children(push.parsed),
        )
    )
    tx.manifests.link(image, [manifest])
    if subject is not None:
        tx.manifests.refer(image, subject, push.parsed.artifact_type, manifest)
    event = tx.events.append(image, _event(push, tx.tags.pointing(image, push.tags)))
    for tag in push.tags:
        write_tag(tx, image, tag, manifest, event, writing, push.name, push.image)
    return ManifestAccepted(push.digest, subject, push.tags, changed=True)


def write_tag(
    tx: Tx,
    image: ImageId,
    tag: Tag,
    manifest: ManifestId,
    event: EventId,
    writing: Writing,
    repository: RepositoryName,
    name: ImageName,
) -> Claimed:
    """Points a tag as the repository's policy and rules allow. Tags under which clients keep referrers always move.

    Raises TagWrittenOnce.
    """
    if not writing.is_once(tag):
        return tx.tags.move(image, tag, manifest, event)
    claim = tx.tags.claim(image, tag, manifest, event)
    match claim:
        case Claimed():
            return claim
        case Held():
            since = datetime.fromtimestamp(claim.since / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
            rule = writing.rule_of(tag)
            where = "" if rule is None else rule.where
            raise TagWrittenOnce(repository, name, tag, claim.digest, since, claim.by, where, gone=claim.deleted)
        case _:
            assert_never(claim)


def _stands(tx: Tx, image: ImageId, push: ManifestPush) -> bool:
    manifest = tx.manifests.find(image, [push.digest]).get(push.digest)
    if manifest is None:
        return False
    held = tx.tags.held(image, push.tags)
    return all(held.get(tag) == manifest for tag in push.tags)


def _children(parsed: Manifest | Index) -> tuple[Digest, ...]:
    return tuple(child.digest for child in parsed.children) if isinstance(parsed, Index) else ()


def _needed(tx: Tx, image: ImageId, push: ManifestPush) -> tuple[BlobId, ...]:
    if isinstance(push.parsed, Manifest):
        return _layers(tx, image, push)
    return _members(tx, image, push, push.parsed)


def _layers(tx: Tx, image: ImageId, push: ManifestPush) -> tuple[BlobId, ...]:
    assert isinstance(push.parsed, Manifest)
    wanted = {descriptor.digest: descriptor for descriptor in push.parsed.required}
    rows = tx.blobs.linked(image, wanted)
    missing = [digest for digest in wanted if digest not in rows]
    if missing and push.lenders:
        borrow(tx, image, push.image, push.lenders, missing)
        rows = tx.blobs.linked(image, wanted)
        missing = [digest for digest in wanted if digest not in rows]
    if missing:
        raise ManifestBlobUnknown(push.image, missing)
    for digest, descriptor in wanted.items():
        _same_size(descriptor, rows[digest].size)
    return tuple(row.id for row in rows.values())


def _members(tx: Tx, image: ImageId, push: ManifestPush, index: Index) -> tuple[BlobId, ...]:
    """Children are manifests of the image; BuildKit's cache indexes list blobs as well, which are kept for them."""
    wanted: dict[Digest, Descriptor] = {d.digest: d for d in (*index.children, *index.required)}
    manifests, rows, missing = _held(tx, image, index, wanted)
    if missing and push.lenders:
        borrow(tx, image, push.image, push.lenders, missing)
        manifests, rows, missing = _held(tx, image, index, wanted)
    if missing:
        raise ManifestBlobUnknown(push.image, missing, "manifest")
    for digest, row in rows.items():
        _same_size(wanted[digest], row.size)
    for digest, size in tx.manifests.sizes(manifests.values()).items():
        _same_size(wanted[digest], size)
    nested = [d.digest for d in index.children if d.media_type in INDEX_TYPES and d.digest in manifests]
    if nested and tx.manifests.depth(nested, limits.INDEX_DEPTH_MAX) >= limits.INDEX_DEPTH_MAX:
        raise ManifestInvalid(f"indexes stand inside each other more than {limits.INDEX_DEPTH_MAX} deep")
    return tuple(row.id for row in rows.values())


def _held(
    tx: Tx, image: ImageId, index: Index, wanted: Collection[Digest]
) -> tuple[Mapping[Digest, ManifestId], Mapping[Digest, BlobRow], list[Digest]]:
    """What the image has of an index's entries: as manifests, as blobs, and not at all."""
    manifests = tx.manifests.find(image, [child.digest for child in index.children])
    rows = tx.blobs.linked(image, [digest for digest in wanted if digest not in manifests])
    return manifests, rows, [digest for digest in wanted if digest not in manifests and digest not in rows]


def _same_size(descriptor: Descriptor, size: int) -> None:
    if descriptor.size != size:
        raise ManifestInvalid(
            f"{descriptor.digest} has {size} bytes, but its descriptor says {descriptor.size}",
            digest=descriptor.digest,
            size=size,
        )


def _event(push: ManifestPush, before: Mapping[Tag, Digest]) -> Event:
    """``before`` tells of each tag that moves what it pointed at."""
    body = {
        "repository": push.name,
        "image": push.image,
        "digest": push.digest,
        "media_type": push.parsed.media_type,
        "tags": list(push.tags),
        "before": {tag: digest for tag, digest in before.items() if digest != push.digest},
        **push.circumstances,
    }
    return Event("push", push.account, body)
