"""How promotions look in answers; see ``shapes.py``."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.commits.promotion_values import End, Move, Plan
from pierhead.domain.gates import State
from pierhead.domain.promotion import Kind
from pierhead.faces.rest.shapes import Json, instant
from pierhead.ports.metadata.promotions import EXPIRED, WAITING, Held, PointerRow, PromotionRow, Vote


def promotion(row: PromotionRow, votes: Sequence[Vote], now: int) -> Json:
    """One; its votes are left out where none are given. ``now`` tells whether one that waits has run out of time."""
    waits = row.state == WAITING
    return {
        "id": row.id,
        "kind": row.kind,
        "state": EXPIRED if waits and row.expires <= now else row.state,
        "image": row.image,
        "digest": row.digest,
        "tags": list(row.tags),
        "from": {"stage": row.source_stage or None, "repository": row.source_repository},
        "to": {"stage": row.target_stage or None, "repository": row.target_repository},
        "before": row.before,
        "media_type": row.told.get("media_type"),
        "counts": row.told.get("counts"),
        "gates": row.told.get("gates", []),
        "approvals": [
            {"account": one.account, "at": instant(one.at), "approved": one.approved, "comment": one.comment or None}
            for one in votes
        ],
        "by": row.account,
        "through": row.told.get("through", {}),
        "comment": row.told.get("comment") or None,
        "follow_referrers": row.follow,
        "requested": instant(row.requested),
        "ended": instant(row.ended),
        "expires": instant(row.expires) if waits else None,
        "request_id": row.told.get("request_id"),
    }


def pointer(row: PointerRow | None) -> Json | None:
    """What a stage holds, or held."""
    if row is None:
        return None
    return {
        "digest": row.digest,
        "tag": row.tag or None,
        "since": instant(row.since),
        "until": instant(row.until),
        "by": row.account,
        "promotion": row.promotion,
    }


def current(held: Held | None) -> Json:
    """Of one image in one stage."""
    return {
        "now": pointer(None if held is None else held.current),
        "before": pointer(None if held is None else held.previous),
    }


def plan(move: Move, found: Plan) -> Json:
    """What a promotion would do."""
    root, same = found.found, found.repeated
    digest = root.digest
    held = None if found.current is None else found.current.digest
    moves = move.target.stage is not None and move.before is not None
    return {
        "plan": {
            "kind": move.kind.value,
            "image": move.image,
            "digest": digest,
            "from": _end(move.source),
            "to": _end(move.target),
            "current": {
                "now": pointer(found.current),
                "after": digest if moves else held,
                "after_tag": root.tags[0] if moves and root.tags else None,
            },
            "tags": []
            if move.kind is Kind.BACK
            else [{"name": tag, "now": found.taken.get(tag), "after": digest} for tag in root.tags],
            "written_once": any(map(root.writing.is_once, root.tags)),
            "counts": found.counts.document,
            "referrers": found.counts.referrers,
            "bytes_to_copy": 0,
        },
        "gates": [one.document for one in found.verdicts],
        "would_run": same is None and found.state is State.PASSES,
        "would_wait": same is None and found.state is State.WAITS,
        "same_as": None if same is None else same.id,
    }


def _end(end: End) -> Json:
    return {"stage": None if end.stage is None else end.stage.name, "repository": end.name}
