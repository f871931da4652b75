"""What a push to the repository of a stage has to do with promotion."""

from __future__ import annotations

from msgspec.structs import replace

from pierhead.commits.manifest import ManifestPush
from pierhead.commits.promotion_push import Carried
from pierhead.commits.promotion_values import Move
from pierhead.domain.access import Principal, Right
from pierhead.domain.names import RepositoryName, Tag
from pierhead.domain.promotion import Kind, Stage
from pierhead.domain.refusals import Denied
from pierhead.domain.refusals_promotion import PointerReserved
from pierhead.repositories.rails import Rails


def carried_by(rails: Rails, push: ManifestPush, who: Principal) -> Carried | None:
    """None for a push that has nothing to do with it, as nearly all are: then nothing was looked up.

    Raises PointerReserved; Denied for a suffix that means a stage to which the account may not promote, NameRefused for
    one whose stage refuses the name of the image.
    """
    stage = next((one for one in rails.train.stages if one.repository == push.name), None)
    if stage is None:
        return None
    tags = tuple(tag for tag in push.tags if not tag.is_fallback)
    first = stage is rails.train.stages[0]
    if not first and rails.train.pointer in tags:
        raise PointerReserved(push.name, push.image, str(rails.train.pointer), stage.name)
    copy = None if first or not tags else _copy(rails, push, tags)
    suffixes = tuple(_suffixes(rails, push, who, tags)) if first and rails.train.suffixes else ()
    follows = push.parsed.subject is not None or len(tags) < len(push.tags)
    return Carried(copy, suffixes, follows) if copy is not None or suffixes or follows else None


def _copy(rails: Rails, push: ManifestPush, tags: tuple[Tag, ...]) -> Move:
    """From the stage before, if that holds the digest; who may push there has leave enough."""
    end = rails.end(push.name)
    before = rails.before(end)
    assert before is not None
    return _filled(rails.move(push.image, before.name, push.name, push.account, Kind.COPY), push, tags)


def _suffixes(rails: Rails, push: ManifestPush, who: Principal, tags: tuple[Tag, ...]) -> list[Move]:
    found: list[Move] = []
    for tag in tags:
        meant = rails.train.suffix_of(tag)
        before = None if meant is None else rails.train.before(meant[1])
        if meant is None or before is None:
            continue
        bare, stage = meant
        _may(who, Right.PULL, before.repository, push, stage)
        _may(who, Right.PROMOTE, stage.repository, push, stage)
        rails.judge_name(who, stage.repository, push.image)
        move = rails.move(push.image, before.repository, stage.repository, push.account, Kind.SUFFIX)
        found.append(_filled(move, push, (bare,)))
    return found


def _filled(move: Move, push: ManifestPush, tags: tuple[Tag, ...]) -> Move:
    return replace(move, digest=push.digest, tags=tags, circumstances=push.circumstances)


def _may(who: Principal, right: Right, repository: RepositoryName, push: ManifestPush, stage: Stage) -> None:
    """By what the account may: a client asks for a token to push, and knows of no other right. Raises Denied."""
    if not who.may_ask(right, repository, push.image):
        hint = f"The tag means the stage {stage.name}, so this push is a promotion."
        raise Denied(who.name, right.value, f"{repository}/{push.image}", hint)
