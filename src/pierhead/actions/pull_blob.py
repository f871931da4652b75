"""GET and HEAD of a blob."""

from __future__ import annotations

from typing import Final

from pierhead.commits.blob import renew_blob
from pierhead.domain.access import Principal, Right
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import BlobUnknown
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import ComingBlob, Missing, StoredBlob
from pierhead.repositories.table import Entry, Table

_HOUR: Final = 3_600_000_000


async def pull_blob(
    table: Table, entry: Entry, who: Principal, image: ImageName, digest: Digest, *, head: bool
) -> StoredBlob | ComingBlob:
    """Raises BlobUnknown, ScopeMissing, Unavailable, UpstreamLimited.

    Who asks HEAD of a push port means to name the blob in a manifest soon, so one whose review is near is kept on.
    """
    if not entry.shows(who, image):
        raise BlobUnknown(image, digest, entry.name)
    if head and entry.writable is not None and who.may(Right.PUSH, entry.writable, image):
        return await _for_a_push(table, entry, who, image, digest)
    found = await entry.repository.blob(who, image, digest, head=head)
    if isinstance(found, Missing):
        raise BlobUnknown(image, digest, entry.name)
    if head and isinstance(entry.repository, Hosted):
        await _keep(entry.repository, image, digest)
    return found


async def _for_a_push(table: Table, entry: Entry, who: Principal, image: ImageName, digest: Digest) -> StoredBlob:
    """A push through a group needs no blob that a hosted member has; no upstream is asked for a push."""
    for hosted in table.hosted_below(entry, who, image):
        found = await hosted.blob(who, image, digest, head=True)
        if isinstance(found, StoredBlob):
            await _keep(hosted, image, digest)
            return found
    raise BlobUnknown(image, digest, entry.name)


async def _keep(hosted: Hosted, image: ImageName, digest: Digest) -> None:
    parts = hosted.parts
    row = await parts.store.lookups.known(digest)
    review = None if row is None else await parts.store.lookups.review(row.id)
    if review is None or review - parts.clock.now() > min(_HOUR, parts.lease // 2):
        return
    if not await parts.store.write(lambda tx: renew_blob(tx, hosted.row_id, image, digest, parts.lease), brief=True):
        raise BlobUnknown(image, digest, hosted.name)
