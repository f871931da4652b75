"""PUT of a manifest, under a tag, a digest, or several tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pierhead.commits.manifest import ManifestAccepted, ManifestPush
from pierhead.commits.manifest import push_manifest as commit
from pierhead.domain import limits
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import parse
from pierhead.domain.names import Reference, Tag
from pierhead.domain.refusals import DigestMismatch
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.hosted import Hosted


async def push_manifest(
    hosted: Hosted,
    grant: Grant,
    reference: Reference,
    more_tags: tuple[Tag, ...],
    body: bytes,
    content_type: str | None,
    circumstances: Mapping[str, object],
    lenders: tuple[RepositoryId, ...] = (),
) -> ManifestAccepted:
    """Stores it and points its tags at it. ``lenders``: see ``ManifestPush``.

    Raises ManifestInvalid, ManifestBlobUnknown, DigestMismatch, TagWrittenOnce, RepositoryReadOnly.
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
    brief = len(body) <= limits.BRIEF_MANIFEST_BYTES_MAX and not lenders
    return await hosted.parts.store.write(lambda tx: commit(tx, push), brief=brief)
