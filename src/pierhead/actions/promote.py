"""A promotion is asked for, or what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pierhead.commits.promotion import promote as commit
from pierhead.commits.promotion import record_refusal
from pierhead.commits.promotion_plan import plan, resolve
from pierhead.commits.promotion_values import Move, Plan
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.names import RepositoryName, Tag
from pierhead.domain.promotion import Kind
from pierhead.domain.refusals import Refusal
from pierhead.domain.refusals_promotion import PromotionForbidden, PromotionGatesShut, PromotionUnproven
from pierhead.ports.metadata.promotions import PromotionRow
from pierhead.ports.metadata.store import Store
from pierhead.repositories.rails import Rails

GATES_SHUT = (PromotionForbidden, PromotionUnproven, PromotionGatesShut)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, besides the two grants. ``tag`` or ``digest`` or both name it in the source; ``tags`` are
    those that it gets in the target, None for the one that it has. With ``back`` the target goes back: to ``back_to``,
    or to what it was before. ``key`` is the client's own name for the request."""

    tag: Tag | None = None
    digest: Digest | None = None
    tags: tuple[Tag, ...] | None = None
    back: bool = False
    back_to: Tag | Digest | None = None
    follow: bool = False
    comment: str = ""
    key: str = ""
    circumstances: Mapping[str, object] = field(default_factory=dict)


async def promote(store: Store, rails: Rails, pull: Grant, put: Grant, wanted: Wanted) -> PromotionRow:
    """Done, or waiting for approvals. ``pull`` is leave in the source, ``put`` to promote to the target.

    Raises what ``commits.promotion.promote`` raises; what gates refused stands in the record by then.
    """
    move = await _move(store, rails, pull, put, wanted)
    try:
        return await store.write(lambda tx: commit(tx, move))
    except GATES_SHUT as refusal:
        await tell_refusal(store, move, refusal)
        raise


async def plan_promotion(store: Store, rails: Rails, pull: Grant, put: Grant, wanted: Wanted) -> tuple[Move, Plan]:
    """The same without doing it: the transaction only reads. Raises as ``promote`` does, but for gates."""
    move = await _move(store, rails, pull, put, wanted)
    return move, await store.write(lambda tx: plan(tx, move), durable=False)


async def tell_refusal(store: Store, move: Move, refusal: Refusal) -> None:
    """That it was refused is all that is written of it."""
    await store.write(lambda tx: record_refusal(tx, move, refusal))


def move_of(rails: Rails, source: RepositoryName, put: Grant, wanted: Wanted) -> Move:
    """The request with all that the configuration says about it."""
    target = rails.end(put.repository)
    kind = Kind.BACK if wanted.back else Kind.PROMOTION
    stage = target.stage
    return Move(
        image=put.image,
        source=target if wanted.back else rails.end(source),
        target=target,
        account=put.principal.name,
        roles_of=rails.roles_of,
        reference=wanted.tag,
        digest=wanted.digest,
        tags=wanted.tags,
        before=rails.before(target),
        kind=kind,
        back=wanted.back_to,
        follow=wanted.follow or (stage is not None and stage.follow),
        circumstances=wanted.circumstances,
        comment=wanted.comment,
        key=wanted.key,
        wait=rails.train.wait * 1_000_000,
        pointer=rails.train.pointer,
        on_done=rails.on_done,
    )


async def _move(store: Store, rails: Rails, pull: Grant, put: Grant, wanted: Wanted) -> Move:
    """Signatures are checked before the transaction, for the digest that it is then about: a tag that moves in between
    is refused."""
    move = move_of(rails, pull.repository, put, wanted)
    if not rails.signed_gates(move.target):
        return move
    found = await store.write(lambda tx: resolve(tx, move), durable=False)
    vouched = await rails.vouched(move.source, move.target, move.image, found.digest)
    return replace(move, pinned=found.digest, vouched=vouched)
