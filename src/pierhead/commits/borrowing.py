"""What an image gets from images of the same name in other repositories, when it is pushed through their group.

A client that pushes to a group asks it first what is there, and leaves out what any member shows. What it left out is
given to the member that takes the push, as a mount would do it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pierhead.domain.digest import Digest
from pierhead.domain.manifest import Index, parse
from pierhead.domain.names import ImageName
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import ImageId, ManifestId, RepositoryId


def borrow(
    tx: Tx, image: ImageId, name: ImageName, lenders: Sequence[RepositoryId], digests: Collection[Digest]
) -> None:
    """Gives ``image`` those of ``digests``, blobs or manifests with all below them, that the image ``name`` has in one
    of ``lenders``. The account may read all of ``lenders``."""
    wanted = set(digests)
    for lender in lenders:
        source = tx.images.find(lender, name)
        if source is None or not wanted:
            continue
        blobs = tx.blobs.linked(source, wanted)
        tx.blobs.link(image, [row.id for row in blobs.values()])
        manifests = tx.manifests.find(source, wanted)
        _with_all_below(tx, source, image, list(manifests.values()))
        wanted -= {*blobs, *manifests}


def _with_all_below(tx: Tx, source: ImageId, image: ImageId, manifests: list[ManifestId]) -> None:
    seen = set(manifests)
    while manifests:
        manifest = manifests.pop()
        stored = tx.manifests.stored(manifest)
        parsed = parse(stored.body, stored.media_type)
        tx.blobs.link(image, tx.manifests.blobs(manifest))
        tx.manifests.link(image, [manifest])
        if stored.subject is not None:
            tx.manifests.refer(image, stored.subject, stored.artifact_type, manifest)
        if isinstance(parsed, Index):
            below = tx.manifests.find(source, [child.digest for child in parsed.children])
            manifests += [child for child in below.values() if child not in seen]
            seen.update(below.values())
