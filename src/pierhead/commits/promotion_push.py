"""A push that has to do with promotion: a copy from stage to stage, a tag with a suffix that means a stage, and what is
attached to something that was promoted before."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from pierhead.commits.audit import record
from pierhead.commits.manifest import ManifestAccepted, ManifestPush, push_manifest
from pierhead.commits.promotion import give_fallback_tags, promote
from pierhead.commits.promotion_values import End, Move
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.gates import State, Verdict
from pierhead.domain.manifest import Index
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals_promotion import PromotionGatesShut
from pierhead.ports.metadata.store import Tx


class Carried(Struct, frozen=True):
    """What a push may be besides: ``copy`` if the stage before holds the digest; one of ``suffixes`` for each tag that
    means a stage. ``follows`` if it is attached to something."""

    copy: Move | None = None
    suffixes: tuple[Move, ...] = ()
    follows: bool = False


def push_on_rails(tx: Tx, push: ManifestPush, carried: Carried) -> ManifestAccepted:
    """The push, or the promotion that it is; raises what either raises, and then nothing of it is done."""
    copy = carried.copy
    if copy is not None and _holds(tx, copy.source, push.image, push.digest):
        image = tx.images.find(push.repository, push.image)
        before = {} if image is None else tx.tags.pointing(image, push.tags)
        promote(tx, copy)
        subject = None if push.parsed.subject is None else push.parsed.subject.digest
        changed = any(before.get(tag) != push.digest for tag in push.tags)
        return ManifestAccepted(push.digest, subject, push.tags, changed=changed)
    if copy is not None and _rewritten(tx, copy.source, push):
        raise _not_there(tx, copy, push)
    accepted = push_manifest(tx, push)
    for move in carried.suffixes:
        if move.source.id != push.repository and not _holds(tx, move.source, push.image, push.digest):
            raise _not_there(tx, move, push)
        promote(tx, move)
    if carried.follows and accepted.changed:
        _follow(tx, push)
    return accepted


def _holds(tx: Tx, end: End, name: ImageName, digest: Digest) -> bool:
    image = tx.images.find(end.id, name)
    return image is not None and digest in tx.manifests.find(image, [digest])


def _rewritten(tx: Tx, end: End, push: ManifestPush) -> bool:
    """Whether all that an index names is held there, under other bytes of the index. Clients write it anew when the
    first is refused: skopeo makes Docker's list of OCI's index, and by its digest that would be an image that no gate
    has seen."""
    children = {one.digest for one in push.parsed.children} if isinstance(push.parsed, Index) else set()
    image = tx.images.find(end.id, push.image) if children else None
    return image is not None and len(tx.manifests.find(image, list(children))) == len(children)


def _not_there(tx: Tx, move: Move, push: ManifestPush) -> PromotionGatesShut:
    """The suffix of a stage behind the second, pushed before that of the one before it; or a rewritten copy."""
    tag = (move.tags or (Tag("TAG"),))[0]
    said, name = move.source.said, f"{push.image}:{tag}"
    found = f"{said} does not hold it"
    opens = f"Promote it to {said} first: pierhead promote {name} --to {said}."
    if _rewritten(tx, move.source, push):
        found = f"{said} holds its platforms, and not this index, which a client has written anew"
        opens = f"Promote the index that {said} holds: pierhead promote {name} --to {move.target.said}."
    verdict = Verdict("stage_before", f"came from {said}", State.REFUSES, found, opens)
    return PromotionGatesShut(name, move.target.said, [verdict.sentence], gates=[verdict.document])


def _follow(tx: Tx, push: ManifestPush) -> None:
    """Gives what was pushed to every image to which its subject was promoted so, and from there to the next stage."""
    source = tx.images.find(push.repository, push.image)
    assert source is not None
    manifest = tx.manifests.find(source, [push.digest])[push.digest]
    tags = [tag for tag in push.tags if tag.is_fallback]
    waiting, seen = deque([source]), {source}
    while waiting:
        image = waiting.popleft()
        for follower in (one for subject in _subjects(push, tags) for one in tx.pointers.followers(image, subject)):
            writable = tx.repositories.writing(follower.repository).policy is not WritePolicy.DENY
            if follower.image in seen or not writable:
                continue
            seen.add(follower.image)
            waiting.append(follower.image)
            members = tx.graph.reach(image, manifest, limits.PROMOTION_MANIFESTS_MAX)
            tx.graph.give(image, follower.image, [one.id for one in members])
            tx.pointers.follow(image, [one.digest for one in members], follower.image, follower.promotion)
            what = {
                "repository": follower.name,
                "image": push.image,
                "digest": push.digest,
                "tags": tags,
                "promotion": follower.promotion,
            }
            event = record(tx, "referrer promoted", push.account, what, push.circumstances, follower.image)
            give_fallback_tags(tx, image, follower.image, [(tag, manifest) for tag in tags], event)


def _subjects(push: ManifestPush, tags: Sequence[Tag]) -> Sequence[Digest]:
    """What it is attached to, by its own word or by the tag that it has."""
    named = [] if push.parsed.subject is None else [push.parsed.subject.digest]
    return [*named, *(Digest.parse(tag.partition(".")[0].replace("-", ":", 1)) for tag in tags)]
