"""A promotion that waits is approved or rejected."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from pierhead.commits.promotion import approve as commit_approval
from pierhead.commits.promotion import reject as commit_rejection
from pierhead.commits.promotion_values import Move
from pierhead.domain.access import Grant
from pierhead.domain.gates import Approvals
from pierhead.domain.promotion import Kind
from pierhead.domain.refusals import Denied
from pierhead.domain.refusals_promotion import OwnPromotion
from pierhead.ports.metadata.promotions import PromotionRow, Vote
from pierhead.ports.metadata.store import Store
from pierhead.repositories.rails import Rails


async def approve(
    store: Store, rails: Rails, row: PromotionRow, put: Grant, comment: str, circumstances: Mapping[str, object]
) -> PromotionRow:
    """Notes it; the last approval that was missing does the promotion, if every gate passes then. ``put`` is leave to
    promote to its target.

    Raises OwnPromotion, NameRefused, Denied for who is none of those that are asked, PromotionOver, and what a
    promotion raises.
    """
    account = put.principal.name
    if account == row.account:
        raise OwnPromotion(row.id, account)
    move = _move(rails, row)
    if move.kind is not Kind.BACK:
        rails.judge_name(put.principal, put.repository, put.image)
    gates = [] if move.target.stage is None else move.target.stage.gates
    asked = [gate.people for gate in gates if isinstance(gate, Approvals)]
    if asked and not any(people.hold(account, rails.roles_of(account)) for people in asked):
        told = " or ".join(dict.fromkeys(", ".join(people.told) for people in asked))
        raise Denied(account, "approve", f"promotion {row.id}", f"Approving it needs {told}.")
    move = await rails.vouched(move, row.digest)
    vote = Vote(account, 0, True, comment)
    return await store.write(lambda tx: commit_approval(tx, row.id, move, vote, circumstances))


async def reject(
    store: Store, row: PromotionRow, put: Grant, reason: str, circumstances: Mapping[str, object]
) -> PromotionRow:
    """Ends it; who asked may do so too. Raises PromotionOver."""
    vote = Vote(put.principal.name, 0, False, reason)
    return await store.write(lambda tx: commit_rejection(tx, row.id, vote, circumstances))


def _move(rails: Rails, row: PromotionRow) -> Move:
    """As it was asked for, with what the configuration says by now. Raises Denied if it names a repository no more."""
    names = (row.source_repository, row.target_repository)
    if any(name not in rails.ids for name in names):
        raise Denied(row.account, "promote", f"{row.image} to {names[1]}", "The configuration names it no more.")
    back = row.kind == Kind.BACK.value
    kind = Kind.BACK if back else Kind.PROMOTION
    move = rails.move(row.image, names[0], names[1], row.account, kind, follow=row.follow)
    return replace(
        move,
        digest=row.digest,
        tags=row.tags,
        back=row.digest if back else None,
        circumstances={key: row.told[key] for key in ("through", "request_id") if key in row.told},
        comment=str(row.told.get("comment") or ""),
    )
