"""What every kind of repository answers.

``Missing`` is a definite no, after which a group asks its next member. That a member cannot be asked is raised
(``Unavailable``, ``UpstreamLimited``), so a group cannot fall through to the next by mistake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct, field

from pierhead.domain.access import Principal
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.ports.blobs import Delivery
from pierhead.ports.metadata.values import RepositoryId, StoredManifest


class Found(Struct, frozen=True):
    """A manifest and the member that has it. ``stale`` says why it may be out of date (text of ``Warning: 110``)."""

    member: RepositoryName
    manifest: StoredManifest
    stale: str = ""


class Head(Struct, frozen=True):
    """What is known of a manifest whose bytes are not here: enough to answer HEAD."""

    member: RepositoryName
    digest: Digest
    media_type: str
    size: int


class Missing(Struct, frozen=True):
    """A definite no. ``image_known`` tells whether anything is kept under the image's name."""

    image_known: bool = False


MISSING = Missing()


class StoredBlob(Struct, frozen=True):
    """A blob that is here."""

    member: RepositoryName
    size: int
    delivery: Delivery


class BlobSource(Protocol):
    """Bytes that are still coming."""

    def pieces(self, start: int, count: int) -> AsyncIterator[bytes]:
        """``count`` bytes from ``start``, as they come; the last are withheld until the digest is right."""


class ComingBlob(Struct, frozen=True):
    """A blob that is being fetched; its bytes can be sent meanwhile."""

    member: RepositoryName
    size: int
    source: BlobSource


class TagList(Struct, frozen=True):
    """One page, sorted, without doubles; ``left_out`` names members that could not be asked, with the reason."""

    tags: Sequence[Tag]
    more: bool
    left_out: Sequence[str] = field(default=())


class ImageList(Struct, frozen=True):
    images: Sequence[ImageName]
    more: bool
    left_out: Sequence[str] = field(default=())


class ReferrerList(Struct, frozen=True):
    """``listed`` are descriptors as JSON objects, as the specification's answer wants them.

    ``after`` is what to ask for the next page with, 0 if there is none.
    """

    listed: Sequence[dict[str, object]]
    left_out: Sequence[str] = field(default=())
    after: int = 0


class Repository(Protocol):
    """One repository of any kind. ``who`` decides which members of a group are asked at all."""

    @property
    def name(self) -> RepositoryName: ...

    @property
    def kind(self) -> str:
        """``hosted``, ``proxy`` or ``group``."""

    async def manifest(
        self, who: Principal, image: ImageName, reference: Reference, *, head: bool
    ) -> Found | Head | Missing:
        """With ``head`` an upstream may be asked for less, and Head may come; otherwise it never does."""

    async def blob(
        self, who: Principal, image: ImageName, digest: Digest, *, head: bool
    ) -> StoredBlob | ComingBlob | Missing:
        """With ``head`` no transfer is begun for a blob that is not here: ComingBlob then tells the size only."""

    async def tags(self, who: Principal, image: ImageName, last: str, limit: int) -> TagList | Missing: ...

    async def images(self, who: Principal, last: str, limit: int) -> ImageList: ...

    async def referrers(
        self, who: Principal, image: ImageName, subject: Digest, artifact_type: str | None, after: int = 0
    ) -> ReferrerList:
        """One page; ``after`` is 0 for the first, then what the page before says. Raises Unavailable."""


@runtime_checkable
class Local(Repository, Protocol):
    """A repository whose content lies in the database: a group asks all of these that stand together in one look-up."""

    @property
    def row_id(self) -> RepositoryId: ...

    def judged(self, image: ImageName) -> ImageName:
        """The name on which rights are judged."""


@runtime_checkable
class Caching(Repository, Protocol):
    """A repository that may ask elsewhere. The verbs below never do."""

    @property
    def row_id(self) -> RepositoryId: ...

    def judged(self, image: ImageName) -> ImageName:
        """The name on which rights are judged: that under which the image is kept."""

    async def kept_manifest(self, image: ImageName, digest: Digest) -> Found | Missing: ...

    async def kept_blob(self, image: ImageName, digest: Digest) -> StoredBlob | Missing: ...

    async def names(self, image: ImageName, digest: Digest) -> bool:
        """Whether the image keeps the manifest of this digest or one that names it, or the upstream just told of it."""
