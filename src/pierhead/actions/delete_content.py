"""DELETE of a tag, a manifest or a blob."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.commits.deletion import Deletion, delete_blob, delete_manifest, delete_tag
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.names import Reference
from pierhead.repositories.hosted import Hosted


async def delete_reference(
    hosted: Hosted, grant: Grant, reference: Reference, circumstances: Mapping[str, object]
) -> None:
    """A tag alone, or a manifest with its tags. Raises ManifestUnknown, ManifestNeeded, RepositoryReadOnly."""
    deletion = _deletion(hosted, grant, circumstances)
    if isinstance(reference, Digest):
        digest = reference
        await hosted.parts.store.write(lambda tx: delete_manifest(tx, deletion, digest), vital=True)
    else:
        tag = reference
        await hosted.parts.store.write(lambda tx: delete_tag(tx, deletion, tag), vital=True)


async def delete_blob_link(hosted: Hosted, grant: Grant, digest: Digest, circumstances: Mapping[str, object]) -> None:
    """Takes a blob from the image. Raises BlobUnknown, BlobNamedByManifest, RepositoryReadOnly."""
    deletion = _deletion(hosted, grant, circumstances)
    await hosted.parts.store.write(lambda tx: delete_blob(tx, deletion, digest), vital=True)


def _deletion(hosted: Hosted, grant: Grant, circumstances: Mapping[str, object]) -> Deletion:
    parts, who = hosted.parts, grant.principal.name
    return Deletion(hosted.row_id, hosted.name, grant.image, who, parts.lease, circumstances, parts.keep_deleted)
