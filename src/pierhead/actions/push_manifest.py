"""PUT of a manifest, under a tag, a digest, or several tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pierhead.commits.manifest import ManifestAccepted, ManifestPush
from pierhead.commits.manifest import push_manifest as commit
from pierhead.commits.promotion import record_refusal
from pierhead.commits.promotion_push import Carried, push_on_rails
from pierhead.domain import limits
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import parse
from pierhead.domain.names import Reference, Tag
from pierhead.domain.refusals import DigestMismatch
from pierhead.domain.refusals_promotion import RECORDED
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.carried import carried_by
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.rails import Rails


async def push_manifest(
    hosted: Hosted,
    grant: Grant,
    reference: Reference,
    more_tags: tuple[Tag, ...],
    body: bytes,
    content_type: str | None,
    circumstances: Mapping[str, object],
    lenders: tuple[RepositoryId, ...] = (),
    rails: Rails | None = None,
) -> ManifestAccepted:
    """Stores it and points its tags at it. ``lenders``: see ``ManifestPush``. With ``rails``, it may be a promotion.

    Raises ManifestInvalid, ManifestBlobUnknown, DigestMismatch, TagWrittenOnce, RepositoryReadOnly, and of a promotion
    what that raises.
    """
    if len(body) <= limits.PARSED_ON_THE_LOOP_BYTES_MAX:
        parsed = parse(body, content_type)
    else:
        parsed = await asyncio.to_thread(parse, body, content_type)
    digest = Digest.of(body, reference.algorithm if isinstance(reference, Digest) else "sha256")
    tags = more_tags
    if isinstance(reference, Digest):
        if digest != reference:
            raise DigestMismatch(reference, digest)
    else:
        tags = (reference, *(tag for tag in more_tags if tag != reference))
    push = ManifestPush(
        hosted.row_id,
        hosted.name,
        grant.image,
        digest,
        body,
        parsed,
        tuple(dict.fromkeys(tags)),
        grant.principal.name,
        circumstances,
        lenders,
    )
    carried = None if rails is None else carried_by(rails, push, grant.principal)
    if rails is not None and carried is not None:
        return await _carry(hosted, rails, push, carried)
    brief = len(body) <= limits.BRIEF_MANIFEST_BYTES_MAX and not lenders
    return await hosted.parts.store.write(lambda tx: commit(tx, push), brief=brief)


async def _carry(hosted: Hosted, rails: Rails, push: ManifestPush, carried: Carried) -> ManifestAccepted:
    """What gates refuse of it stands in the record when that is raised."""
    copy = None if carried.copy is None else await rails.vouched(carried.copy, push.digest)
    suffixes = tuple([await rails.vouched(move, push.digest) for move in carried.suffixes])
    checked = Carried(copy, suffixes, carried.follows)
    try:
        return await hosted.parts.store.write(lambda tx: push_on_rails(tx, push, checked))
    except RECORDED as error:
        refusal = error
        moves = [move for move in (copy, *suffixes) if move is not None and move.target.said == refusal.detail["to"]]
        await hosted.parts.store.write(lambda tx: record_refusal(tx, moves[0], refusal))
        raise
