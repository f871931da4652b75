"""What was taken from an image and may come back: manifests in the trash, and intervals of tags that have ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.values import EventId, ImageId, ManifestId


class Thrown(Struct, frozen=True):
    """A manifest in the trash, and the image that it was taken from. ``deleted`` in microseconds since 1970."""

    image: ImageId
    manifest: ManifestId
    digest: Digest
    repository: RepositoryName
    name: ImageName
    deleted: int


class Deleted(Struct, frozen=True):
    """Something that can be brought back. ``tag`` is None for a manifest that had none.

    ``at`` is when it was taken away, by ``account`` through what ``kind`` of event, under which ``rule`` ("" if none).
    ``now`` is what the tag points at meanwhile. ``size`` is that of all blobs below it, in bytes.
    """

    repository: RepositoryName
    image: ImageName
    tag: Tag | None
    digest: Digest
    at: int
    kind: str
    account: str
    rule: str
    now: Digest | None
    size: int


class Trash(Protocol):
    """Within a transaction. No look-up finds what is in the trash; its blobs stay, since its manifests name them."""

    def throw(self, image: ImageId, manifests: Sequence[ManifestId], event: EventId) -> None:
        """Takes manifests that the image holds from it, and their referrer rows. The others go with the first."""

    def find(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, EventId]:
        """Which of ``digests`` the image has in the trash, and the events that brought them there."""

    def take_back(self, image: ImageId, digest: Digest) -> Sequence[ManifestId]:
        """Gives a manifest back to the image, with what is below it and with all that went with it; none if it is not
        in the trash."""

    def with_it(self, image: ImageId, digest: Digest) -> Sequence[ManifestId]:
        """A manifest of the trash and what went with it, itself first."""

    def tags_of(self, image: ImageId, event: EventId) -> Sequence[tuple[Tag, Digest]]:
        """Tags that the event ended, each with what it pointed at."""

    def stood(self, image: ImageId, tag: Tag, digest: Digest | None) -> Digest | None:
        """``digest`` if the tag ever pointed at it; without one, what it pointed at last. None if it did not."""

    def due(self, before: int, limit: int) -> Sequence[Thrown]:
        """What was thrown away before then, the oldest first."""

    def empty(self, image: ImageId, manifest: ManifestId) -> None:
        """Forgets a manifest of the trash for good; itself too, if no image holds it or has it in the trash."""
