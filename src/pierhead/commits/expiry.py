"""What a rule of expiry takes away, decided again in the transaction that does it.

A plan is as old as its snapshot. So everything that it rests on is read here once more: the write policy, where the tag
points, when it was pulled, how many are newer, what names the manifest, and what must never be touched.
"""

from __future__ import annotations

from msgspec import Struct

from pierhead.commits.audit import PROGRAM, record
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules, goes, last_use
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.ports.metadata.expiry import Island
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import ImageId, RepositoryId


class Removal(Struct, frozen=True):
    """Something that has to go. ``rule`` is None for a build cache, which goes only if it was not used after ``used``.
    ``words`` are what the record says of the rule."""

    repository: RepositoryId
    name: RepositoryName
    image: ImageId
    image_name: ImageName
    tag: Tag | None
    digest: Digest
    rule: Rule | None
    words: str
    used: int


class Expiring(Struct, frozen=True):
    """``keep`` and ``lease`` as of a deletion, in microseconds; ``counted`` is since when pulls are known."""

    rules: Rules
    keep: int
    lease: int
    counted: int


def expire(tx: Tx, removal: Removal, how: Expiring) -> bool:
    """Takes it away if it still has to go. A tag goes alone where something else holds its manifest."""
    writing = tx.repositories.writing(removal.repository)
    once = removal.tag is not None and writing.is_once(removal.tag)
    if writing.policy is not WritePolicy.ALLOW or once or not _still(tx, removal, how):
        return False
    island = tx.expiry.island(removal.image, removal.digest, removal.tag)
    if island.guarded or (removal.tag is None and not island.manifests):
        return False
    _take_away(tx, removal, island, how)
    return True


def _still(tx: Tx, removal: Removal, how: Expiring) -> bool:
    rule = removal.rule
    if removal.tag is None:
        found = tx.expiry.untagged(removal.image, removal.image_name, removal.digest)
        if found is None or found.cache is not (rule is None):
            return False
        used = max(found.since, found.pulled or 0, how.counted)
        if rule is None:
            return max(found.since, found.pulled or 0) <= removal.used
        return rule.untagged is not None and used + rule.untagged < tx.now
    facts = tx.expiry.tag(removal.image, removal.image_name, removal.tag)
    if facts is None or facts.once or facts.digest != removal.digest or facts.cache is not (rule is None):
        return False
    if rule is None:
        return last_use(facts, 0) <= removal.used
    if rule.keep or how.rules.first(removal.image_name, removal.tag) != rule:
        return False
    newer = 0 if rule.newest is None else tx.expiry.newer(removal.image, removal.image_name, facts, how.rules, rule)
    return goes(rule, facts, newer, tx.now, how.counted)


def _take_away(tx: Tx, removal: Removal, island: Island, how: Expiring) -> None:
    tags = [*(() if removal.tag is None else (removal.tag,)), *island.tags]
    what = {
        "repository": removal.name,
        "image": removal.image_name,
        "digest": removal.digest,
        "tags": tags,
        "before": tx.tags.pointing(removal.image, tags),
        "rule": removal.words,
        "manifests": len(island.manifests),
    }
    event = record(tx, "expire", PROGRAM, what, {}, removal.image)
    for tag in tags:
        tx.tags.close(removal.image, tag, event, spend=False)
    # Nobody brings a build cache back, and a limit in bytes that frees none for two weeks would be none.
    if how.keep and removal.rule is not None:
        tx.trash.throw(removal.image, island.manifests, event)
        return
    for manifest in island.manifests:
        tx.reclaims.review(tx.manifests.blobs(manifest), tx.now + how.lease)
        tx.manifests.unlink(removal.image, manifest)
