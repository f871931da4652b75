"""Promotions as rows, what each stage holds now, and the graph of an image that goes along. Instants are microseconds
since 1970, UTC."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NewType, Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.values import ImageId, ManifestId, RepositoryId

PromotionId = NewType("PromotionId", int)

WAITING = "waiting"
DONE = "done"
REJECTED = "rejected"
EXPIRED = "expired"


class NewPromotion(Struct, frozen=True):
    """``asked`` is a hash over what was asked, by which a key that is sent again is known; ``key`` may be empty. Stages
    are names, empty where a repository is none. ``told`` holds plain JSON values."""

    kind: str
    state: str
    source: ImageId
    target: ImageId
    source_stage: str
    target_stage: str
    digest: Digest
    tags: tuple[Tag, ...]
    account: str
    key: str
    asked: bytes
    expires: int
    follow: bool
    before: Digest | None
    told: Mapping[str, object]


class PromotionRow(Struct, frozen=True):
    """``ended`` is None while it waits. ``before`` is what the stage held when it was done."""

    id: PromotionId
    kind: str
    state: str
    image: ImageName
    source: ImageId
    source_repository: RepositoryName
    source_stage: str
    target: ImageId
    target_repository: RepositoryName
    target_stage: str
    digest: Digest
    tags: tuple[Tag, ...]
    account: str
    asked: bytes
    requested: int
    expires: int
    ended: int | None
    follow: bool
    before: Digest | None
    told: Mapping[str, object]


class Vote(Struct, frozen=True):
    """``approved`` is False for who rejected it."""

    account: str
    at: int
    approved: bool
    comment: str


class PointerRow(Struct, frozen=True):
    """What a stage's image was, ``until`` then or now (None). ``tag`` is that of the promotion, empty without one."""

    digest: Digest
    tag: str
    since: int
    until: int | None
    account: str
    promotion: PromotionId


class Held(Struct, frozen=True):
    """Of one image in one stage: what it is now, and what it was before that (other bytes), if there was anything."""

    current: PointerRow
    previous: PointerRow | None


class Member(Struct, frozen=True):
    """A manifest of an image's graph. ``below`` if it is the root or stands below it; otherwise it refers to one that
    does."""

    id: ManifestId
    digest: Digest
    media_type: str
    artifact_type: str
    below: bool


class Follower(Struct, frozen=True):
    """An image to which something was promoted with all that is attached to it later."""

    image: ImageId
    repository: RepositoryId
    name: RepositoryName
    promotion: PromotionId


class Promotions(Protocol):
    def add(self, new: NewPromotion) -> PromotionId: ...

    def find(self, promotion: PromotionId) -> PromotionRow | None: ...

    def by_key(self, account: str, key: str) -> PromotionRow | None: ...

    def waiting(self, target: ImageId, digest: Digest, tags: Sequence[Tag]) -> PromotionRow | None:
        """The one that waits to bring these bytes under these tags to the target."""

    def done(self, target: ImageId, digest: Digest, tags: Sequence[Tag]) -> PromotionRow | None:
        """The last that brought these bytes under these tags there; none of those that went back."""

    def settle(self, promotion: PromotionId, state: str, before: Digest | None, told: Mapping[str, object]) -> None:
        """Ends one that waits, now."""

    def retell(self, promotion: PromotionId, told: Mapping[str, object]) -> None:
        """What is told of one that goes on waiting."""

    def vote(self, promotion: PromotionId, vote: Vote) -> None:
        """The last word of an account counts."""

    def votes(self, promotion: PromotionId) -> Sequence[Vote]: ...

    def due(self, limit: int) -> Sequence[PromotionRow]:
        """Those that wait and whose time is over at ``tx.now``."""


class Pointers(Protocol):
    def now(self, image: ImageId) -> PointerRow | None: ...

    def point(self, image: ImageId, manifest: ManifestId, tag: str, account: str, promotion: PromotionId) -> None:
        """From now on the image is this manifest."""

    def let_go(self, image: ImageId) -> None:
        """From now on the image is nothing."""

    def before(self, image: ImageId, digest: Digest | None) -> PointerRow | None:
        """The last that was ``digest``; with None the last that was other bytes than now, if it is something now."""

    def holds(self, image: ImageId, manifest: ManifestId) -> bool:
        """Whether the image is this manifest now."""

    def open(self) -> Sequence[tuple[ImageId, ManifestId]]:
        """All that is held now."""

    def follow(self, source: ImageId, subjects: Collection[Digest], target: ImageId, promotion: PromotionId) -> None:
        """What is attached to these in the source goes to the target as well from now on."""

    def followers(self, source: ImageId, subject: Digest) -> Sequence[Follower]:
        """Images that get what is attached to ``subject`` in the source."""


class Graph(Protocol):
    def reach(self, image: ImageId, root: ManifestId, most: int) -> Sequence[Member]:
        """The manifest, all below it, and all that refers to any of these, by subject or under a fallback tag, and so
        on; at most ``most`` + 1, the root first."""

    def lacking(self, image: ImageId, manifests: Collection[ManifestId]) -> Sequence[tuple[Digest, str]]:
        """What these name and the image does not have: (digest, ``manifest`` or ``blob``)."""

    def fallback(self, image: ImageId, manifests: Collection[ManifestId]) -> Sequence[tuple[Tag, ManifestId]]:
        """Tags under which clients keep what refers to these, with what they point at."""

    def give(self, source: ImageId, target: ImageId, manifests: Collection[ManifestId]) -> int:
        """Gives the target these manifests with their blobs and what they refer to; returns how many blobs they name.
        The work grows with the number of rows, never with bytes."""

    def arrived(self, image: ImageId, manifest: ManifestId) -> int | None:
        """Since when the image has it; None if it does not."""


class PromotionReports(Protocol):
    """The part of ``Reports`` that is about promotion."""

    def promotion(self, promotion: PromotionId) -> tuple[PromotionRow, Sequence[Vote]] | None: ...

    def promotions(
        self, before: PromotionId | None, limit: int, *, state: str = "", image: str = "", stage: str = ""
    ) -> Sequence[PromotionRow]:
        """Below ``before`` (None: all), newest first; ``stage`` is the name of the stage or repository they go to."""

    def promotions_due(self, now: int) -> bool:
        """Whether one waits whose time is over."""

    def held(self, repository: RepositoryName, images: Collection[ImageName] | None = None) -> Mapping[ImageName, Held]:
        """What the images of a stage's repository are now and were before; all of them with None. Only what promotions
        set: the first stage has nothing here."""

    def pointers(self, repository: RepositoryName, image: ImageName, limit: int) -> Sequence[PointerRow]:
        """What the image was there, newest first."""
