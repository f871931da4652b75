"""A promotion is asked for, or what it would do."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.commits.promotion import promote as commit
from pierhead.commits.promotion import record_refusal
from pierhead.commits.promotion_plan import plan
from pierhead.commits.promotion_values import Move, Plan
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.domain.promotion import Kind
from pierhead.domain.refusals_promotion import RECORDED
from pierhead.ports.metadata.promotions import PromotionRow
from pierhead.ports.metadata.store import Store
from pierhead.repositories.rails import Rails


class Wanted(Struct, frozen=True):
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

    Raises NameRefused, and what ``commits.promotion.promote`` raises; what gates refused stands in the record by then.
    """
    move = await _move(store, rails, pull, put, wanted)
    try:
        return await store.write(lambda tx: commit(tx, move))
    except RECORDED as error:
        refusal = error
        # That it was refused is all that is written of it.
        await store.write(lambda tx: record_refusal(tx, move, refusal))
        raise


async def plan_promotion(store: Store, rails: Rails, pull: Grant, put: Grant, wanted: Wanted) -> tuple[Move, Plan]:
    """The same without doing it: the transaction only reads. Raises as ``promote`` does, but for gates."""
    move = await _move(store, rails, pull, put, wanted)
    return move, await store.write(lambda tx: plan(tx, move), durable=False)


async def _move(store: Store, rails: Rails, pull: Grant, put: Grant, wanted: Wanted) -> Move:
    """The request with all that the configuration says about it."""
    kind = Kind.BACK if wanted.back else Kind.PROMOTION
    # What goes back brings no name in.
    warned = None if wanted.back else rails.judge_name(put.principal, put.repository, put.image)
    naming = {} if warned is None else {"naming": warned.document}
    asked = rails.move(put.image, pull.repository, put.repository, put.principal.name, kind, follow=wanted.follow)
    move = replace(
        asked,
        reference=wanted.tag,
        digest=wanted.digest,
        tags=wanted.tags,
        back=wanted.back_to,
        circumstances={**wanted.circumstances, **naming},
        comment=wanted.comment,
        key=wanted.key,
    )
    return await rails.looked_at(store, move)
