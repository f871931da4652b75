"""Stages in the order of promotion, what a promotion is asked for, and what stands between."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from pierhead.domain.gates import Gate, StageBefore
from pierhead.domain.names import RepositoryName, Tag

POINTER: Final = Tag("current")
WAIT_SECONDS: Final = 7 * 24 * 3600


class Kind(enum.Enum):
    """How a promotion came about: asked for, back to what a stage held before, by a client's copy from stage to stage,
    or by a push under a suffix."""

    PROMOTION = "promotion"
    BACK = "back"
    COPY = "copy"
    SUFFIX = "suffix"


class Stage(Struct, frozen=True):
    """One step. ``gates`` are those of the configuration, with the one that every stage behind the first has.
    ``follow``: what is attached to an image later goes there too."""

    name: str
    repository: RepositoryName
    gates: tuple[Gate, ...] = ()
    follow: bool = False


class Train(Struct, frozen=True):
    """``pointer`` is the tag under which what a stage holds now can be pulled, None for none. ``suffixes`` of tags that
    are pushed to the first stage are promotions to a stage, by its name. ``wait`` in seconds is how long a promotion
    waits for approvals."""

    stages: tuple[Stage, ...] = ()
    pointer: Tag | None = POINTER
    suffixes: Mapping[str, str] = field(default_factory=dict)
    wait: int = WAIT_SECONDS

    def named(self, name: str) -> Stage | None:
        """The stage of this name, or of the repository of this name."""
        return next((one for one in self.stages if name in (one.name, one.repository)), None)

    def before(self, stage: Stage) -> Stage | None:
        """The one from which images come to ``stage``; None for the first."""
        at = self.stages.index(stage)
        return self.stages[at - 1] if at else None

    def later(self, repository: RepositoryName) -> Stage | None:
        """The stage behind the first that this repository is."""
        return next((one for one in self.stages[1:] if one.repository == repository), None)

    def suffix_of(self, tag: Tag) -> tuple[Tag, Stage] | None:
        """For a tag with one of the suffixes: the tag without it, and the stage that it means."""
        for suffix, name in self.suffixes.items():
            if len(tag) > len(suffix) and tag.endswith(suffix):
                stage = self.named(name)
                return None if stage is None else (Tag(tag[: -len(suffix)]), stage)
        return None


def with_own_gate(gates: tuple[Gate, ...], *, first: bool) -> tuple[Gate, ...]:
    """What a stage asks for: the first nothing by itself, any other that the image came from the stage before, unless
    its gates say something about that."""
    said = [gate for gate in gates if isinstance(gate, StageBefore)]
    others = tuple(gate for gate in gates if not isinstance(gate, StageBefore))
    wanted = said[0].wanted if said else not first
    return (StageBefore(), *others) if wanted else others
