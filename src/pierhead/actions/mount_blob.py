"""A blob that an image gets from another image, without its bytes being sent."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.commits.blob import Place
from pierhead.commits.blob import mount_blob as mount
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.hosted import Hosted


async def mount_blob(
    hosted: Hosted, grant: Grant, digest: Digest, sources: Sequence[tuple[RepositoryId, ImageName]]
) -> bool:
    """True if one of ``sources``, all of which the account may read, has the blob; else an upload has to be begun.

    That a source is not there and that it may not be read look the same to the client. Raises RepositoryReadOnly.
    """
    if not sources:
        return False
    place = Place(hosted.row_id, hosted.name, grant.image, hosted.parts.lease)
    return await hosted.parts.store.write(lambda tx: mount(tx, place, digest, list(sources)))
