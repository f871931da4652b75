"""What a promotion would do and what its gates say. Reads only, within the transaction that decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pierhead.commits.promotion_values import Counts, Found, Move, Plan
from pierhead.domain import limits
from pierhead.domain.attached import types_of
from pierhead.domain.build_cache import BuildCache, build_cache_of
from pierhead.domain.digest import Digest
from pierhead.domain.gates import Approval, Attached, Facts, Gate, Verdict, instant, judge, shut
from pierhead.domain.manifest import INDEX_TYPES, parse
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy, Writing
from pierhead.domain.promotion import Kind
from pierhead.domain.refusals import ManifestUnknown, Refusal, RepositoryReadOnly
from pierhead.domain.refusals_promotion import (
    BuildCachePromoted,
    NothingBefore,
    PointerReserved,
    PromotionForbidden,
    PromotionGatesShut,
    PromotionIncomplete,
    PromotionTagMoved,
    PromotionTagTaken,
    PromotionTooLarge,
    PromotionUnproven,
)
from pierhead.ports.metadata.promotions import Member, PromotionRow, Vote
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Held, ImageId, ManifestId


def plan(tx: Tx, move: Move, votes: Sequence[Vote] = (), number: int = 0) -> Plan:
    """``votes`` are those of promotion ``number``, if it has one already.

    Raises ManifestUnknown, PromotionTagMoved, RepositoryReadOnly, PointerReserved, PromotionTagTaken, NothingBefore,
    PromotionIncomplete, PromotionTooLarge. What gates say is in the plan.
    """
    found = resolve(tx, move)
    same = None if number else _repeated(tx, move, found)
    if same is not None:
        return Plan(found, repeated=same)
    taken = _taken(tx, move, found)
    members = tx.graph.reach(found.source, found.manifest, limits.PROMOTION_MANIFESTS_MAX)
    if len(members) > limits.PROMOTION_MANIFESTS_MAX:
        raise PromotionTooLarge(move.image, found.digest, limits.PROMOTION_MANIFESTS_MAX, move.target.said)
    if lacking := tx.graph.lacking(found.source, [one.id for one in members]):
        told = [f"the {kind} {digest} is missing or damaged" for digest, kind in lacking]
        raise PromotionIncomplete(move.image, found.digest, move.source.name, told, move.target.said)
    gates = () if move.target.stage is None else move.target.stage.gates
    verdicts = judge(gates, _facts(tx, move, found, gates, members, votes, number))
    current = None if found.target is None else tx.pointers.now(found.target)
    return Plan(found, members, verdicts, _counts(members), taken, current)


def resolve(tx: Tx, move: Move) -> Found:
    """What it is about. Raises as ``plan`` does."""
    writing = tx.repositories.writing(move.target.id)
    if writing.policy is WritePolicy.DENY:
        raise RepositoryReadOnly(move.target.name)
    source = tx.images.find(move.source.id, move.image)
    target = tx.images.find(move.target.id, move.image)
    wanted = str(move.reference or move.digest or "")
    if source is None:
        if move.kind is Kind.BACK:
            raise NothingBefore(move.image, move.target.said, "")
        raise _absent(move, wanted)
    if move.kind is Kind.BACK:
        return _back(tx, move, source, writing)
    digest, tags = move.digest, move.tags
    if move.reference is not None:
        held = tx.tags.pointing(source, [move.reference]).get(move.reference)
        if held is None:
            raise _absent(move, move.reference)
        for wanted_digest in (digest, move.pinned):
            if wanted_digest is not None and held != wanted_digest:
                raise PromotionTagMoved(move.source.name, move.image, move.reference, held, wanted_digest)
        digest = held
        tags = (move.reference,) if tags is None else tags
        if move.tags is None and move.reference == move.pointer and (now := tx.pointers.now(source)) is not None:
            tags = (Tag(now.tag),) if now.tag else ()
    assert digest is not None, "a tag, a digest or both are named"
    manifest = tx.manifests.find(source, [digest]).get(digest)
    if manifest is None:
        raise _absent(move, digest)
    _no_cache(tx, move, manifest, digest)
    return Found(source, target, writing, digest, manifest, tags or (), None)


def _absent(move: Move, wanted: str) -> ManifestUnknown:
    """With the way on which it gets there, where the source is a stage that promotion fills."""
    if move.behind is None:
        return ManifestUnknown(move.image, wanted, move.source.name)
    name, said = f"{move.image}{'@' if ':' in wanted else ':'}{wanted}", move.source.said
    hint = f"It gets there from {move.behind.said}: `pierhead promote {name} --to {said}`."
    return ManifestUnknown(move.image, wanted, move.source.name, hint)


def _no_cache(tx: Tx, move: Move, manifest: ManifestId, digest: Digest) -> None:
    """Raises BuildCachePromoted."""
    stored = tx.manifests.stored(manifest)
    cache = build_cache_of(move.image, move.reference or digest, parse(stored.body, stored.media_type))
    if cache is not None:
        whose = "" if cache is BuildCache.NAMED else cache.value
        raise BuildCachePromoted(move.image, move.reference or digest, whose)


def _back(tx: Tx, move: Move, image: ImageId, writing: Writing) -> Found:
    """To what the stage was before, or to what it was once under this tag or as this digest."""
    wanted = move.back
    digest = wanted if isinstance(wanted, Digest) else None
    if isinstance(wanted, Tag):
        digest = tx.tags.pointing(image, [wanted]).get(wanted)
    stood = None if wanted is not None and digest is None else tx.pointers.before(image, digest)
    if stood is None:
        raise NothingBefore(move.image, move.target.said, str(wanted or ""))
    if move.pinned not in (None, stood.digest):
        raise PromotionTagMoved(move.target.name, move.image, str(wanted or "back"), stood.digest, str(move.pinned))
    manifest = tx.manifests.find(image, [stood.digest]).get(stood.digest)
    if manifest is None:
        raise ManifestUnknown(move.image, stood.digest, move.target.name)
    tags = (Tag(stood.tag),) if stood.tag else ()
    return Found(image, image, writing, stood.digest, manifest, tags, stood)


def _repeated(tx: Tx, move: Move, found: Found) -> PromotionRow | None:
    """The same was asked before: it waits, or it is done and the tags still say so. To go back is to be asked for as
    that: a job that is run again must not take a stage back to an older image."""
    if found.target is None:
        return None
    by_push = move.kind in (Kind.COPY, Kind.SUFFIX)
    waits = None if by_push else tx.promotions.waiting(found.target, found.digest, found.tags)
    if waits is not None and waits.expires > tx.now:
        return waits
    if move.kind is Kind.BACK:
        return None
    done = tx.promotions.done(found.target, found.digest, found.tags)
    if done is None or tx.manifests.find(found.target, [found.digest]).get(found.digest) is None:
        return None
    held = tx.tags.pointing(found.target, found.tags)
    return done if all(held.get(tag) == found.digest for tag in found.tags) else None


def _taken(tx: Tx, move: Move, found: Found) -> dict[Tag, Digest]:
    """Raises PointerReserved, PromotionTagTaken. The same is decided once more by the insert."""
    if move.kind is Kind.BACK:
        return {}
    if move.target.stage is not None and move.pointer in found.tags:
        raise PointerReserved(move.target.name, move.image, str(move.pointer), move.target.said)
    if found.target is None:
        return {}
    for tag in filter(found.writing.is_once, found.tags):
        spent = tx.tags.spent(found.target, tag)
        if spent is not None and spent.digest != found.digest:
            raise taken(move.target.name, move.image, tag, spent, found.digest)
    held = dict(tx.tags.pointing(found.target, found.tags))
    for tag, digest in held.items():
        if digest != found.digest and found.writing.is_once(tag):
            raise taken(move.target.name, move.image, tag, Held(digest, 0, ""), found.digest)
    return held


def taken(repository: RepositoryName, image: ImageName, tag: Tag, held: Held, asked: Digest) -> PromotionTagTaken:
    """The refusal that names both."""
    since = instant(held.since) if held.since else "before its tags were written once"
    return PromotionTagTaken(repository, image, tag, held.digest, asked, since, held.by or "unknown")


def _facts(
    tx: Tx,
    move: Move,
    found: Found,
    gates: Sequence[Gate],
    members: Sequence[Member],
    votes: Sequence[Vote],
    number: int,
) -> Facts:
    tag = found.tags[0] if found.tags else (move.reference or "")
    joint = ":" if tag else "@"
    arrived: int | None = None
    if move.before is not None:
        before = tx.images.find(move.before.id, move.image)
        arrived = None if before is None else tx.graph.arrived(before, found.manifest)
    wants_attached = any(isinstance(gate, Attached) for gate in gates)
    return Facts(
        name=f"{move.image}{joint}{tag or found.digest}",
        stage=move.target.said,
        now=tx.now,
        account=move.account,
        roles=move.roles_of(move.account),
        tags=found.tags,
        before="" if move.before is None else move.before.said,
        arrived=arrived,
        stood=None if found.stood is None else found.stood.since,
        approvals=tuple(Approval(vote.account, move.roles_of(vote.account)) for vote in votes if vote.approved),
        attached=_attached(tx, members) if wants_attached else frozenset(),
        vouched=move.vouched,
        number=number,
    )


def _attached(tx: Tx, members: Sequence[Member]) -> frozenset[str]:
    """Types of what refers to the image or to a part of it, and of attestations among its own manifests."""
    found: set[str] = set()
    for member in members[1:]:
        body = tx.manifests.stored(member.id).body
        if len(body) <= limits.PARSED_ON_THE_LOOP_BYTES_MAX:
            found |= types_of("" if member.below else member.artifact_type, body)
        elif not member.below:
            found.add(member.artifact_type)
    return frozenset(found)


def _counts(members: Sequence[Member]) -> Counts:
    below = [one for one in members if one.below]
    platforms = [one for one in below if one.media_type not in INDEX_TYPES]
    return Counts(len(members), len(platforms), len(members) - len(below))


def refusal_of(what: str, where: str, verdicts: Sequence[Verdict]) -> Refusal:
    """That names every gate that is shut, and how each is opened."""
    closed = shut(verdicts)
    sentences = [one.sentence for one in closed]
    documents = [one.document for one in verdicts]
    kinds = {one.kind for one in closed}
    if "who" in kinds:
        return PromotionForbidden(what, where, sentences, gates=documents)
    if kinds & {"signed", "attached"}:
        return PromotionUnproven(what, where, sentences, gates=documents)
    return PromotionGatesShut(what, where, sentences, gates=documents)


def asked_hash(move: Move) -> bytes:
    """Of what was asked, so that a key that is sent with something else is noticed."""
    told = [
        move.kind.value,
        move.image,
        move.source.name,
        move.target.name,
        move.reference,
        move.digest,
        None if move.tags is None else list(move.tags),
        None if move.back is None else str(move.back),
        move.follow,
    ]
    return hashlib.sha256(json.dumps(told).encode()).digest()
