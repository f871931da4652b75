"""The board of the release train: what stands in each stage of a service, and how a stage relates to the one before.

What stands in a stage is what the last promotion or roll-back put there. Where no promotion has said it, in the first
stage above all, it is the newest tag by the time of its push that is a candidate: not one that moves (`latest`), not a
branch's, not where clients keep signatures.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from pierhead.domain.catalogue import Service
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.patterns import VERSION, TagPatterns
from pierhead.domain.provenance import Facts, Seen
from pierhead.domain.running import Runs, RunState

NEWER_MAX: Final = 100
"""More than so many are not counted."""

_VERSIONS: Final = TagPatterns([VERSION])
_FALLBACKS: Final = ("sha256-*", "sha512-*")


class BoardRules(Struct, frozen=True):
    """Which tags may stand in a stage. ``moving`` are shown for themselves; ``skip`` are patterns of tags that are on
    their way to no stage. A ``*`` stands for any characters."""

    moving: frozenset[str] = frozenset({"latest", "stable"})
    skip: tuple[str, ...] = ("branch-*",)

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Patterns of all tags that are no candidates."""
        return (*sorted(self.moving), *self.skip, *_FALLBACKS)


class BoardStage(Struct, frozen=True):
    """A column: a stage, or a hosted repository where the configuration has no stages."""

    name: str
    repository: RepositoryName


class BoardPlan(Struct, frozen=True):
    """What the configuration says of the board. Without ``staged`` the columns are repositories side by side, between
    which nothing is promoted. ``stale_seconds`` is when a report of what runs counts as old."""

    stages: tuple[BoardStage, ...] = ()
    services: tuple[Service, ...] = ()
    rules: BoardRules = field(default_factory=BoardRules)
    staged: bool = True
    stale_seconds: int = 3600


class Standing(Struct, frozen=True):
    """What an image is in one repository, and its tag; None for bytes that a promotion left without one. Instants are
    microseconds since 1970; ``by`` is the account that put it there, ``seen`` what its login said."""

    tag: Tag | None
    digest: Digest
    media_type: str
    since: int
    by: str
    seen: Seen = field(default_factory=Seen)


class Moving(Struct, frozen=True):
    """Where a moving tag points; ``same_as`` is what else that is called, None if nothing."""

    tag: Tag
    digest: Digest
    since: int
    same_as: Tag | None


class GateState(enum.Enum):
    """How a stage relates to the one before it; the closed set of signs between two columns."""

    EQUAL = "equal"
    NEWER = "newer"
    FIRST = "first"
    OLDER = "older"
    GONE = "gone"
    WAITS = "waits"
    NOTHING = "nothing"


class Gate(Struct, frozen=True):
    """``newer`` counts images in the stage before that came after what stands in this one; at most ``NEWER_MAX``.
    ``promotion`` is the one that waits, with its ``approvals`` in words (`1 of 2`)."""

    state: GateState
    newer: int = 0
    promotion: int | None = None
    approvals: str = ""


class Cell(Struct, frozen=True):
    """One stage of one service. ``holds`` is None where nothing stands; ``gate`` is None for the first stage and where
    the account may not see the stage before. ``built`` is the job that first pushed these bytes, as far as the stages
    before know it. ``pointed`` if a promotion said what stands here."""

    stage: str
    repository: RepositoryName
    holds: Standing | None
    facts: Facts | None = None
    built: Seen = field(default_factory=Seen)
    gate: Gate | None = None
    moving: Sequence[Moving] = ()
    pointed: bool = False


class Row(Struct, frozen=True):
    """One line of the board; ``cells`` are the stages that the account may see, in the order of promotion; ``runs`` is
    what clusters of these stages run of the image. ``service`` is None for an image that belongs to none."""

    service: Service | None
    image: ImageName
    cells: Sequence[Cell]
    runs: Sequence[Runs] = ()

    @property
    def differs(self) -> bool:
        """Whether a stage holds something else than the one before it."""
        quiet = (GateState.EQUAL, GateState.NOTHING)
        return any(cell.gate is not None and cell.gate.state not in quiet for cell in self.cells)

    @property
    def strays(self) -> bool:
        """Whether something runs that its cluster's stage does not hold now, or of which nobody can say that."""
        return any(one.state is not RunState.CURRENT for one in self.runs)


def newest(candidates: Sequence[Standing]) -> Standing | None:
    """What stands where no promotion has said it. ``candidates`` come newest first; of several tags for the newest
    bytes the one that is a version counts, or else the newest."""
    if not candidates:
        return None
    same = [one for one in candidates if one.digest == candidates[0].digest]
    return next((one for one in same if one.tag is not None and _VERSIONS.meets(one.tag)), same[0])


def gate(
    before: Standing | None, here: Standing | None, arrived: int | None, newer: int, left: Digest | None = None
) -> Gate:
    """``before`` is what the stage before holds, ``arrived`` when what is ``here`` came there (None: it is not there
    any more), ``newer`` how many candidates came there after it. ``left`` is what the stage held last before this: if
    that is what the stage before holds, somebody went back on purpose."""
    if here is None:
        return Gate(GateState.NOTHING if before is None else GateState.FIRST, 0 if before is None else 1)
    if before is not None and before.digest == here.digest:
        return Gate(GateState.EQUAL)
    if arrived is None:
        return Gate(GateState.GONE)
    if before is not None and before.digest == left:
        return Gate(GateState.OLDER, newer)
    return Gate(GateState.NEWER, newer) if newer else Gate(GateState.OLDER)


def moving_tags(
    found: Mapping[Tag, tuple[Digest, int]], candidates: Iterable[Standing], holds: Standing | None
) -> tuple[Moving, ...]:
    """``found`` says of each moving tag that is there where it points and since when."""
    known: dict[Digest, Tag | None] = {one.digest: one.tag for one in reversed(list(candidates))}
    if holds is not None:
        known[holds.digest] = holds.tag
    return tuple(Moving(tag, digest, since, known.get(digest)) for tag, (digest, since) in sorted(found.items()))
