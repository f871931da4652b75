"""Rows as values: what the metadata port takes and gives. Instants are microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import BlobState as BlobState
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import OnceRule, WritePolicy, Writing

RepositoryId = NewType("RepositoryId", int)
ImageId = NewType("ImageId", int)
ManifestId = NewType("ManifestId", int)
BlobId = NewType("BlobId", int)
EventId = NewType("EventId", int)


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    id: RepositoryId
    name: RepositoryName
    kind: str
    write_policy: WritePolicy
    once: tuple[OnceRule, ...] = ()

    @property
    def writing(self) -> Writing:
        """What decides on its tags."""
        return Writing(self.write_policy, self.once)


@dataclass(frozen=True, slots=True)
class BlobRow:
    """``body`` is set for small blobs that are kept in the row; ``generation`` is empty then."""

    id: BlobId
    digest: Digest
    size: int
    state: BlobState
    generation: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it came in, byte for byte. Immutable, so it may be cached for ever by its id."""

    id: ManifestId
    digest: Digest
    media_type: str
    artifact_type: str
    body: bytes
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class TagHit:
    repository: RepositoryId
    manifest: ManifestId


@dataclass(frozen=True, slots=True)
class Claimed:
    """The tag points at the manifest now; ``before`` is what it pointed at, None if it is new or did not change."""

    before: ManifestId | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A tag that is written once holds something else, since then, put there by that account."""

    digest: Digest
    since: int
    by: str


@dataclass(frozen=True, slots=True)
class UploadRow:
    id: str
    repository: RepositoryId
    image: ImageName
    account: str
    algorithm: str
    created: int
    ended: Digest | None
    """The digest that it ended with, kept for a while so that a lost answer can be given again."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What an upstream said of a tag: ``checked`` is when it was last asked."""

    digest: Digest
    checked: int


@dataclass(frozen=True, slots=True)
class NewManifest:
    """All that is written of a manifest. ``blobs`` are those that must stay while it is linked anywhere."""

    digest: Digest
    media_type: str
    artifact_type: str
    body: bytes
    subject: Digest | None
    blobs: tuple[BlobId, ...]
    children: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, told in the same transaction. ``body`` holds plain JSON values."""

    kind: str
    account: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ReferrerRow:
    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    manifest: ManifestId


@dataclass(frozen=True, slots=True)
class Waiting:
    """A blob in the review queue that nothing wants; ``review`` is the date of its next step on the way out."""

    digest: Digest
    size: int
    state: BlobState
    review: int


@dataclass(frozen=True, slots=True)
class Reclaimable:
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


@dataclass(frozen=True, slots=True)
class TagRow:
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


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token. ``origin`` is where its account was defined: it holds for no other of the same name. Instants
    are in microseconds since 1970; ``used`` is up to an hour behind."""

    id: int
    account: str
    origin: str
    client: str
    made: int
    used: int
    until: int


@dataclass(frozen=True, slots=True)
class TagInterval:
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


@dataclass(frozen=True, slots=True)
class ImageRow:
    repository: RepositoryName
    name: ImageName
    tags: int
    pushed: int | None


@dataclass(frozen=True, slots=True)
class Totals:
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
