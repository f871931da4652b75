"""GET, HEAD, PUT and DELETE of /v2/NAME/manifests/REFERENCE."""

from __future__ import annotations

from pierhead.actions.delete_content import delete_reference
from pierhead.actions.pull_manifest import pull_manifest
from pierhead.actions.push_manifest import push_manifest
from pierhead.domain import limits
from pierhead.domain.access import require_tags
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag, parse_reference
from pierhead.domain.refusals import ManifestTooLarge, QueryInvalid
from pierhead.faces.door.ask import Answer, TooLarge
from pierhead.faces.v2.asked import Asked
from pierhead.faces.v2.errors import VERSION, quoted
from pierhead.repositories.kind import Found


async def get(asked: Asked) -> Answer:
    """The bytes as they came in."""
    found = await pull_manifest(
        asked.table, asked.entry, asked.who, asked.image, parse_reference(asked.item), head=False
    )
    assert isinstance(found, Found)
    manifest = found.manifest
    digest = manifest.digest
    asked.ask.note["member"] = found.member
    headers = _headers(manifest.media_type, digest, found.stale)
    if found.stale:
        asked.ask.note["stale"] = found.stale
    if asked.knows(digest):
        return Answer(304, headers)
    return Answer(200, headers, manifest.body)


async def head(asked: Asked) -> Answer:
    """Type, length and digest, all three, as clients rely on."""
    found = await pull_manifest(
        asked.table, asked.entry, asked.who, asked.image, parse_reference(asked.item), head=True
    )
    asked.ask.note["member"] = found.member
    if isinstance(found, Found):
        manifest = found.manifest
        headers = _headers(manifest.media_type, manifest.digest, found.stale)
        if found.stale:
            asked.ask.note["stale"] = found.stale
        if asked.knows(manifest.digest):
            return Answer(304, headers)
        return Answer(200, headers, length=len(manifest.body))
    return Answer(200, _headers(found.media_type, found.digest, ""), length=found.size)


async def put(asked: Asked) -> Answer:
    """201 when manifest, tags and event are durable."""
    reference = parse_reference(asked.item)
    hosted, grant = asked.for_push(asked.item)
    asked.refuse_encoding()
    tags = tuple(Tag.parse(value) for key, value in asked.parameters() if key == "tag")
    if len(tags) > limits.TAGS_PER_PUSH_MAX:
        raise QueryInvalid("tag", f"a push has at most {limits.TAGS_PER_PUSH_MAX} tags")
    require_tags(grant, tags if isinstance(reference, Digest) else (reference, *tags))
    try:
        body = await asked.ask.body(limits.MANIFEST_BYTES_MAX)
    except TooLarge as error:
        raise ManifestTooLarge(limits.MANIFEST_BYTES_MAX) from error
    accepted = await push_manifest(
        hosted,
        grant,
        reference,
        tags,
        body,
        asked.ask.get("Content-Type"),
        asked.circumstances(),
        asked.lenders(hosted),
        asked.table.rails,
    )
    asked.ask.note["digest"] = accepted.digest
    headers = [
        VERSION,
        ("Location", f"{asked.path}/manifests/{accepted.digest}"),
        ("Docker-Content-Digest", accepted.digest),
    ]
    headers += [("OCI-Tag", tag) for tag in tags]
    if accepted.subject is not None:
        headers.append(("OCI-Subject", accepted.subject))
    headers += asked.warning()
    return Answer(201, headers)


async def delete(asked: Asked) -> Answer:
    """202 when it is gone for good."""
    hosted, grant = asked.for_deletion()
    await delete_reference(hosted, grant, parse_reference(asked.item), asked.circumstances())
    return Answer(202, (VERSION,))


def _headers(media_type: str, digest: Digest, stale: str) -> list[tuple[str, str]]:
    headers = [
        VERSION,
        ("Content-Type", media_type),
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if stale:
        headers.append(("Warning", f'110 - "{quoted(stale)}"'))
    return headers
