"""What expiry asks of the database: facts of an image, what would go with a manifest, and what is never touched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules, TagFacts
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.values import ImageId, ManifestId


class Untagged(Struct, frozen=True):
    """A manifest that no tag and no index of the image names, and that refers to nothing which is there. ``since`` is
    when it came, or lost its last tag. ``cache`` if it is a build cache."""

    digest: Digest
    manifest: ManifestId
    since: int
    pulled: int | None
    days: Mapping[int, int]
    cache: bool


class ImageFacts(Struct, frozen=True):
    image: ImageId
    name: ImageName
    tags: Sequence[TagFacts]
    untagged: Sequence[Untagged]


class Island(Struct, frozen=True):
    """What goes with a manifest, itself first: what only it names, what refers to it, and the tags under which clients
    keep signatures of it. Empty if the manifest itself stays, ``because`` of that.

    ``guarded`` names what must never be touched and why, if there is such among it; then nothing goes.
    """

    manifests: Sequence[ManifestId] = ()
    tags: Sequence[Tag] = ()
    because: str = ""
    guarded: str = ""


class ExpiryFacts(Protocol):
    """Within a report; what a transaction asks again is in ``ExpiryChecks``."""

    def images(self, repository: RepositoryName) -> Sequence[tuple[ImageId, ImageName]]:
        """All that hold something, by name."""

    def facts(self, image: ImageId, name: ImageName) -> ImageFacts: ...

    def island(self, image: ImageId, digest: Digest, tag: Tag | None) -> Island:
        """Of a manifest of the image, if ``tag`` did not point at it."""

    def freed(self, manifests: Collection[tuple[ImageId, ManifestId]]) -> int:
        """Bytes of blobs that nothing names any more once these images have lost these manifests."""

    def kept_deleted(self) -> tuple[int, int]:
        """Manifests in the trash, and the bytes that come back when they are purged."""

    def oldest_deleted(self) -> int | None:
        """When what has been in the trash for longest came there; None if it is empty."""

    def blobs_below(self, digest: Digest) -> Mapping[int, int]:
        """Blobs of a manifest and of what it names: id -> bytes."""

    def counted(self) -> int | None:
        """Since when pulls are counted; None if never yet."""


class ExpiryChecks(Protocol):
    """Within a transaction: what a removal rests on, read once more."""

    def island(self, image: ImageId, digest: Digest, tag: Tag | None) -> Island:
        """As ``ExpiryFacts.island``."""

    def tag(self, image: ImageId, name: ImageName, tag: Tag) -> TagFacts | None:
        """One tag that stands; None if it does not."""

    def untagged(self, image: ImageId, name: ImageName, digest: Digest) -> Untagged | None:
        """One untagged manifest; None if it is not there, or not untagged."""

    def newer(self, image: ImageId, name: ImageName, facts: TagFacts, rules: Rules, rule: Rule) -> int:
        """How many tags that ``rule`` is about are newer, counted up to the rule's ``newest``."""
