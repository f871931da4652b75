"""A tag goes back to where it pointed, what was deleted comes back, or is given up for good."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.commits.restoring import (
    Undo,
    Undone,
    purge_manifest,
    restore_manifest,
    restore_tag,
    roll_back,
)
from pierhead.domain import limits
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.names import Reference, Tag
from pierhead.domain.refusals import ManifestUnknown
from pierhead.domain.refusals_tags import TagNeverThere
from pierhead.repositories.hosted import Hosted


async def roll_back_tag(
    hosted: Hosted,
    grant: Grant,
    tag: Tag,
    to: Digest | None,
    steps: int,
    seen: Digest | None,
    circumstances: Mapping[str, object],
) -> Undone:
    """Puts the tag back to ``to``, or to what it stood for ``steps`` changes ago. It has to stand for ``seen`` still;
    without that, for what it stands for when this begins.

    Raises what ``commits.restoring.roll_back`` does, and TimeoutError.
    """
    image = grant.image
    past = await hosted.parts.store.report(
        lambda reports: reports.history(hosted.name, image, tag, limits.TAG_HISTORY_ROWS_MAX)
    )
    if not past or past[0].until is not None:
        raise ManifestUnknown(image, tag, hosted.name, "If it was deleted, `pierhead tag restore` brings it back.")
    seen = seen or past[0].digest
    if to is None:
        stood = [one.digest for at, one in enumerate(past) if at == 0 or one.digest != past[at - 1].digest]
        if steps >= len(stood):
            raise TagNeverThere(image, tag, "", hosted.name, len(stood) - 1)
        to = stood[steps]
    undo, target, expected = _undo(hosted, grant, circumstances), to, seen
    return await hosted.parts.store.write(lambda tx: roll_back(tx, undo, tag, target, expected))


async def bring_back(
    hosted: Hosted, grant: Grant, reference: Reference, digest: Digest | None, circumstances: Mapping[str, object]
) -> Undone:
    """A deleted tag, at ``digest`` if that is given and the tag ever stood for it; or a deleted image with its tags.

    Raises what ``commits.restoring.restore_tag`` and ``restore_manifest`` do.
    """
    undo = _undo(hosted, grant, circumstances)
    if isinstance(reference, Digest):
        whole = reference
        return await hosted.parts.store.write(lambda tx: restore_manifest(tx, undo, whole))
    tag = reference
    return await hosted.parts.store.write(lambda tx: restore_tag(tx, undo, tag, digest))


async def give_up(hosted: Hosted, grant: Grant, digest: Digest, circumstances: Mapping[str, object]) -> None:
    """Purges a deleted image. Raises what ``commits.restoring.purge_manifest`` does."""
    undo = _undo(hosted, grant, circumstances)
    await hosted.parts.store.write(lambda tx: purge_manifest(tx, undo, digest), vital=True)


def _undo(hosted: Hosted, grant: Grant, circumstances: Mapping[str, object]) -> Undo:
    return Undo(hosted.row_id, hosted.name, grant.image, grant.principal.name, hosted.parts.lease, circumstances)
