"""Rows as values: what the metadata port takes and gives. Instants are microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NewType

from msgspec import Struct, field

from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import BlobState as BlobState
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import OnceRule, WritePolicy, Writing

RepositoryId = NewType("RepositoryId", int)
ImageId = NewType("ImageId", int)
ManifestId = NewType("ManifestId", int)
BlobId = NewType("BlobId", int)
EventId = NewType("EventId", int)


class RepositoryRow(Struct, frozen=True):
    id: RepositoryId
    name: RepositoryName
    kind: str
    write_policy: WritePolicy
    once: tuple[OnceRule, ...] = ()

    @property
    def writing(self) -> Writing:
        """What decides on its tags."""
        return Writing(self.write_policy, self.once)


class BlobRow(Struct, frozen=True):
    """``body`` is set for small blobs that are kept in the row; ``generation`` is empty then."""

    id: BlobId
    digest: Digest
    size: int
    state: BlobState
    generation: str
    body: bytes | None


class StoredManifest(Struct, frozen=True):
    """A manifest as it came in, byte for byte. Immutable, so it may be cached for ever by its id."""

    id: ManifestId
    digest: Digest
    media_type: str
    artifact_type: str
    body: bytes
    subject: Digest | None


class TagHit(Struct, frozen=True):
    repository: RepositoryId
    manifest: ManifestId


class Claimed(Struct, frozen=True):
    """The tag points at the manifest now; ``before`` is what it pointed at, None if it is new or did not change."""

    before: ManifestId | None
    changed: bool


class Held(Struct, frozen=True):
    """A tag that is written once holds something else, since then, put there by that account; or held it, and was
    ``deleted``."""

    digest: Digest
    since: int
    by: str
    deleted: bool = False


class UploadRow(Struct, frozen=True):
    id: str
    repository: RepositoryId
    image: ImageName
    account: str
    algorithm: str
    created: int
    ended: Digest | None
    """The digest that it ended with, kept for a while so that a lost answer can be given again."""


class CacheEntry(Struct, frozen=True):
    """What an upstream said of a tag: ``checked`` is when it was last asked."""

    digest: Digest
    checked: int


class NewManifest(Struct, frozen=True):
    """All that is written of a manifest. ``blobs`` are those that must stay while it is linked anywhere."""

    digest: Digest
    media_type: str
    artifact_type: str
    body: bytes
    subject: Digest | None
    blobs: tuple[BlobId, ...]
    children: tuple[Digest, ...]


class Event(Struct, frozen=True):
    """What happened, told in the same transaction. ``body`` holds plain JSON values."""

    kind: str
    account: str
    body: Mapping[str, object]


class ReferrerRow(Struct, frozen=True):
    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    manifest: ManifestId


class Waiting(Struct, frozen=True):
    """A blob in the review queue that nothing wants; ``review`` is the date of its next step on the way out."""

    digest: Digest
    size: int
    state: BlobState
    review: int


class Reclaimable(Struct, frozen=True):
    """What reclaim would take, sizes in bytes. ``blobs`` are wanted by nothing; ``condemned`` of them have begun to go.

    ``leased`` are kept by leases alone, the last of which ends at ``leased_until``. ``sample`` holds the largest of
    ``blobs``.
    """

    blobs: int
    size: int
    condemned: int
    condemned_size: int
    leased: int
    leased_size: int
    leased_until: int | None
    sample: tuple[Waiting, ...]


class TagRow(Struct, frozen=True):
    """``size`` is the manifest's own; ``content`` that of all blobs below it, those of an index's manifests too.
    ``pulled`` is when it was last pulled, by tag or by digest; None if not since pulls are counted."""

    name: Tag
    digest: Digest
    media_type: str
    size: int
    since: int
    by: str
    content: int
    pulled: int | None = None


class RefreshRow(Struct, frozen=True):
    """A refresh token. ``origin`` is where its account was defined: it holds for no other of the same name. Instants
    are in microseconds since 1970; ``used`` is up to an hour behind."""

    id: int
    account: str
    origin: str
    client: str
    made: int
    used: int
    until: int


class TagInterval(Struct, frozen=True):
    """``once`` if it was written once, so that no other bytes ever get the tag.

    It began by an event of the kind ``began``, of somebody who had signed in ``through`` that; ``ended`` and
    ``ended_by`` tell of its end, empty where that is not known.
    """

    digest: Digest
    since: int
    until: int | None
    by: str
    once: bool = False
    began: str = ""
    through: Mapping[str, object] = field(default_factory=dict)
    ended: str = ""
    ended_by: str = ""


class ImageRow(Struct, frozen=True):
    repository: RepositoryName
    name: ImageName
    tags: int
    pushed: int | None


class Totals(Struct, frozen=True):
    """Counts over the whole store; sizes in bytes."""

    repositories: int
    images: int
    tags: int
    manifests: int
    blobs: int
    blob_bytes: int
    uploads: int
    condemned: int
    condemned_bytes: int
