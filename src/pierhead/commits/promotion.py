"""A promotion and all rows of it, in one transaction: links, tags, the pointer of the stage, its own row, its event.

No bytes move: the manifests are linked to the image in the target, and their blobs with them, by statements over sets
of rows. The links are what keeps reclaim away, and they are committed together with the tag, so that nobody ever sees a
half of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from msgspec.structs import replace

from pierhead.commits.audit import PROGRAM, record
from pierhead.commits.promotion_plan import asked_hash, plan, refusal_of, taken
from pierhead.commits.promotion_values import Done, Move, Plan
from pierhead.domain.digest import Digest
from pierhead.domain.gates import State
from pierhead.domain.names import Tag
from pierhead.domain.policy import Writing
from pierhead.domain.promotion import Kind
from pierhead.domain.refusals import Refusal
from pierhead.domain.refusals_promotion import IdempotencyKeyTaken, PromotionOver, PromotionUnknown
from pierhead.ports.metadata.promotions import (
    DONE,
    EXPIRED,
    REJECTED,
    WAITING,
    NewPromotion,
    PromotionId,
    PromotionRow,
    Vote,
)
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Claimed, EventId, Held, ImageId, ManifestId


def promote(tx: Tx, move: Move) -> PromotionRow:
    """Does it, or has it wait if nothing but approvals is missing. The same again gives the same promotion.

    Raises IdempotencyKeyTaken, PromotionForbidden, PromotionUnproven, PromotionGatesShut, and what ``plan`` raises.
    """
    asked = asked_hash(move)
    known = tx.promotions.by_key(move.account, move.key) if move.key else None
    if known is not None:
        if known.asked != asked:
            raise IdempotencyKeyTaken(move.key)
        return known
    found = plan(tx, move)
    if found.repeated is not None:
        return found.repeated
    waits = found.state is State.WAITS and move.kind in (Kind.PROMOTION, Kind.BACK)
    if found.state is not State.PASSES and not waits:
        raise refusal_of(_what(move, found), move.target.said, found.verdicts)
    target = tx.images.ensure(move.target.id, move.image)
    if waits and (late := tx.promotions.waiting(target, found.found.digest, found.found.tags)) is not None:
        _end(tx, late)  # its time was over, and nobody has ended it yet
    number = tx.promotions.add(_new(tx, move, found, target, asked, WAITING if waits else DONE))
    if not waits:
        _carry_out(tx, move, found, target, number, ())
        return _row(tx, number)
    # Judged once more, now that it has the number by which it is approved.
    numbered = plan(tx, move, number=number)
    told = _told(move, numbered)
    tx.promotions.retell(number, told)
    what = {**_subject(move, found, number), "gates": told["gates"], "comment": move.comment}
    record(tx, "promotion requested", move.account, what, move.circumstances, target)
    return _row(tx, number)


def approve(tx: Tx, number: PromotionId, move: Move, vote: Vote, circumstances: Mapping[str, object]) -> PromotionRow:
    """Notes that ``vote.account`` agrees, judges every gate anew, and does it if all of them pass now.

    ``move`` is the promotion as its row has it, by the account that asked. Raises PromotionOver, and what ``plan``
    raises: then nothing is noted.
    """
    row = waiting_row(tx, number)
    before = {one.account for one in tx.promotions.votes(number) if one.approved}
    tx.promotions.vote(number, replace(vote, at=tx.now))
    votes = tx.promotions.votes(number)
    found = plan(tx, move, votes, number)
    if vote.account not in before:
        what = {**_subject(move, found, number), "comment": vote.comment}
        record(tx, "promotion approved", vote.account, what, circumstances, row.target)
    told = {**row.told, "gates": [one.document for one in found.verdicts], "counts": found.counts.document}
    if found.state is State.PASSES:
        tx.promotions.settle(number, DONE, None if found.current is None else found.current.digest, told)
        _carry_out(tx, move, found, row.target, number, votes)
    else:
        tx.promotions.retell(number, told)
    return _row(tx, number)


def reject(tx: Tx, number: PromotionId, vote: Vote, circumstances: Mapping[str, object]) -> PromotionRow:
    """Ends one that waits. Raises PromotionOver."""
    row = waiting_row(tx, number)
    tx.promotions.vote(number, replace(vote, at=tx.now))
    tx.promotions.settle(number, REJECTED, None, row.told)
    what = {**_about(row), "reason": vote.comment}
    record(tx, "promotion rejected", vote.account, what, circumstances, row.target)
    return _row(tx, number)


def expire(tx: Tx, limit: int) -> int:
    """Ends those that waited for too long; returns how many."""
    rows = tx.promotions.due(limit)
    for row in rows:
        _end(tx, row)
    return len(rows)


def _end(tx: Tx, row: PromotionRow) -> None:
    tx.promotions.settle(row.id, EXPIRED, None, row.told)
    record(tx, "promotion expired", PROGRAM, _about(row), {}, row.target)


def record_refusal(tx: Tx, move: Move, refusal: Refusal) -> EventId:
    """Tells the record of a promotion that was refused; nothing else of it was written."""
    what: dict[str, object] = {
        "repository": move.target.name,
        "image": move.image,
        "from": move.source.name,
        "to": move.target.said,
        "tags": list(move.tags or ([move.reference] if move.reference else [])),
        "digest": move.digest,
        "kind_of": move.kind.value,
        "message": refusal.message,
        "gates": refusal.detail.get("gates", []),
    }
    return record(tx, "promotion refused", move.account, what, move.circumstances)


def waiting_row(tx: Tx, number: PromotionId) -> PromotionRow:
    """Raises PromotionUnknown, PromotionOver: also for one whose time is over and that nobody has ended yet."""
    row = tx.promotions.find(number)
    if row is None:
        raise PromotionUnknown(str(number))
    if row.state != WAITING:
        raise PromotionOver(number, row.state)
    if row.expires <= tx.now:
        raise PromotionOver(number, EXPIRED)
    return row


# --- the rows --------------------------------------------------------------------------------------------------------


def _carry_out(tx: Tx, move: Move, found: Plan, target: ImageId, number: PromotionId, votes: Sequence[Vote]) -> None:
    """Everything that a promotion changes besides its own row. Raises PromotionTagTaken, which undoes all of it."""
    root = found.found
    before = {tag: digest for tag, digest in found.taken.items() if digest != root.digest}
    what = {
        **_subject(move, found, number),
        "media_type": found.members[0].media_type,
        "before": before,
        "counts": found.counts.document,
        "gates": [one.document for one in found.verdicts],
        "approvals": [one.account for one in votes if one.approved],
    }
    event = record(tx, "promoted", move.account, what, move.circumstances, target)
    if move.kind is not Kind.BACK:
        members = [one.id for one in found.members]
        tx.graph.give(root.source, target, members)
        give_fallback_tags(tx, root.source, target, tx.graph.fallback(root.source, members), event)
        for tag in root.tags:
            _write_tag(tx, move, target, tag, root.manifest, root.writing, event, root.digest)
    if move.target.stage is not None and move.before is not None:
        point(tx, target, root.manifest, root.tags, move, number, event)
    if move.follow and move.kind is not Kind.BACK:
        tx.pointers.follow(root.source, [one.digest for one in found.members], target, number)
    row = _row(tx, number)
    move.on_done(tx, Done(move, row, votes, root.source, target, root.manifest, found.members, event))


def point(
    tx: Tx, target: ImageId, manifest: ManifestId, tags: Sequence[Tag], move: Move, number: PromotionId, event: EventId
) -> None:
    """What the stage holds from now on, and the tag under which that can be pulled. Where the name was pushed as a tag
    that is written once, before it was the pointer's, that tag stays what it is."""
    tx.pointers.point(target, manifest, tags[0] if tags else "", move.account, number)
    if move.pointer is not None and tx.tags.spent(target, move.pointer) is None:
        tx.tags.move(target, move.pointer, manifest, event)


def _write_tag(
    tx: Tx,
    move: Move,
    target: ImageId,
    tag: Tag,
    manifest: ManifestId,
    writing: Writing,
    event: EventId,
    digest: Digest,
) -> None:
    if not writing.is_once(tag):
        tx.tags.move(target, tag, manifest, event)
        return
    claim = tx.tags.claim(target, tag, manifest, event)
    match claim:
        case Claimed():
            return
        case Held():
            raise taken(move.target.name, move.image, tag, claim, digest)
        case _:
            assert_never(claim)


def give_fallback_tags(
    tx: Tx, source: ImageId, target: ImageId, found: Sequence[tuple[Tag, ManifestId]], event: EventId
) -> None:
    """Tags under which clients keep signatures go along. One that the target has with something that the source never
    had was made there, and stays."""
    held = tx.tags.held(target, [tag for tag, _ in found])
    for tag, manifest in found:
        own = held.get(tag)
        if own is None or (own != manifest and tx.graph.arrived(source, own) is not None):
            tx.tags.move(target, tag, manifest, event)


def _new(tx: Tx, move: Move, found: Plan, target: ImageId, asked: bytes, state: str) -> NewPromotion:
    root = found.found
    return NewPromotion(
        kind=move.kind.value,
        state=state,
        source=root.source,
        target=target,
        source_stage="" if move.source.stage is None else move.source.stage.name,
        target_stage="" if move.target.stage is None else move.target.stage.name,
        digest=root.digest,
        tags=root.tags,
        account=move.account,
        key=move.key,
        asked=asked,
        expires=tx.now + move.wait,
        follow=move.follow,
        before=None if found.current is None else found.current.digest,
        told=_told(move, found),
    )


def _told(move: Move, found: Plan) -> dict[str, object]:
    return {
        "gates": [one.document for one in found.verdicts],
        "counts": found.counts.document,
        "media_type": found.members[0].media_type,
        "comment": move.comment,
        "through": move.circumstances.get("through", {}),
        "request_id": move.circumstances.get("request_id"),
    }


def _subject(move: Move, found: Plan, number: PromotionId) -> dict[str, object]:
    return {
        "repository": move.target.name,
        "image": move.image,
        "digest": found.found.digest,
        "tags": list(found.found.tags),
        "from": move.source.said,
        "to": move.target.said,
        "promotion": number,
        "kind_of": move.kind.value,
    }


def _about(row: PromotionRow) -> dict[str, object]:
    return {
        "repository": row.target_repository,
        "image": row.image,
        "digest": row.digest,
        "tags": list(row.tags),
        "from": row.source_stage or row.source_repository,
        "to": row.target_stage or row.target_repository,
        "promotion": row.id,
        "kind_of": row.kind,
    }


def _what(move: Move, found: Plan) -> str:
    tags = found.found.tags
    return f"{move.image}:{tags[0]}" if tags else f"{move.image}@{found.found.digest}"


def _row(tx: Tx, number: PromotionId) -> PromotionRow:
    row = tx.promotions.find(number)
    assert row is not None
    return row
