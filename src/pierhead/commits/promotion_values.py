"""What a promotion is asked for, what is found about it, and what is told when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from pierhead.domain.digest import Digest
from pierhead.domain.gates import Signed, State, Verdict
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import Writing
from pierhead.domain.promotion import Kind, Stage
from pierhead.ports.metadata.promotions import Member, PointerRow, PromotionRow, Vote
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import EventId, ImageId, ManifestId, RepositoryId

RolesOf = Callable[[str], tuple[str, ...]]


class End(Struct, frozen=True):
    """One end of a promotion; ``stage`` is None for a repository that is none."""

    id: RepositoryId
    name: RepositoryName
    stage: Stage | None = None

    @property
    def said(self) -> str:
        """As people call it."""
        return self.name if self.stage is None else self.stage.name


class Done(Struct, frozen=True):
    """A promotion that is done in this transaction, before it is committed: whoever is told may add manifests to the
    target, and nothing that they cannot take back."""

    move: Move
    row: PromotionRow
    votes: Sequence[Vote]
    source: ImageId
    target: ImageId
    manifest: ManifestId
    members: Sequence[Member]
    event: EventId


OnDone = Callable[[Tx, Done], None]


def nobody(tx: Tx, done: Done) -> None:
    """Is told and does nothing."""


class Move(Struct, frozen=True):
    """A promotion as it is asked for.

    ``reference`` is a tag of the source, None if only ``digest`` was said. ``tags`` are those that it gets in the
    target; None for the one that it has. ``before`` is the stage before the target, ``behind`` that before the source.
    ``back`` is the tag or digest that the target is to go back to, None for what it was before. ``pinned`` is what it
    all has to come to. ``vouched`` says of gates about signatures what is wrong with those on ``pinned``, None for
    nothing. ``wait`` in microseconds is how long it waits for approvals; ``key`` is what the client knows the request
    by. ``pointer`` is the tag of what a stage holds.
    """

    image: ImageName
    source: End
    target: End
    account: str
    roles_of: RolesOf
    reference: Tag | None = None
    digest: Digest | None = None
    tags: tuple[Tag, ...] | None = None
    before: End | None = None
    behind: End | None = None
    kind: Kind = Kind.PROMOTION
    back: Tag | Digest | None = None
    follow: bool = False
    pinned: Digest | None = None
    vouched: Mapping[Signed, str | None] = field(default_factory=dict)
    circumstances: Mapping[str, object] = field(default_factory=dict)
    comment: str = ""
    key: str = ""
    wait: int = 0
    pointer: Tag | None = None
    on_done: OnDone = nobody


class Found(Struct, frozen=True):
    """What a promotion is about, once the source was asked. ``target`` is None if nothing of the image is there yet;
    ``stood`` is the interval that one going back goes back to."""

    source: ImageId
    target: ImageId | None
    writing: Writing
    digest: Digest
    manifest: ManifestId
    tags: tuple[Tag, ...]
    stood: PointerRow | None


class Counts(Struct, frozen=True):
    """``platforms`` are images below the root, itself if it is one; ``bytes_copied`` is always 0."""

    manifests: int
    platforms: int
    referrers: int

    @property
    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "manifests": self.manifests,
            "platforms": self.platforms,
            "referrers": self.referrers,
            "bytes_to_copy": 0,
        }


class Plan(Struct, frozen=True):
    """``repeated`` is the promotion that did, or asked for, the same before; the rest is empty then. ``taken`` are what
    the tags are in the target now; ``current`` is what the target holds."""

    found: Found
    members: Sequence[Member] = ()
    verdicts: tuple[Verdict, ...] = ()
    counts: Counts = field(default_factory=lambda: Counts(0, 0, 0))
    taken: Mapping[Tag, Digest] = field(default_factory=dict)
    current: PointerRow | None = None
    repeated: PromotionRow | None = None

    @property
    def state(self) -> State:
        """Of all gates together."""
        states = {one.state for one in self.verdicts}
        return next((one for one in (State.REFUSES, State.WAITS) if one in states), State.PASSES)
