"""A hosted repository: what was pushed to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import Index, parse, referrer_descriptor
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.ports.blobs import BlobStore, SendBytes
from pierhead.ports.metadata.store import Lookups, Members
from pierhead.ports.metadata.values import BlobRow, RepositoryId, StoredManifest
from pierhead.repositories.kind import MISSING, Found, ImageList, Missing, ReferrerList, StoredBlob, TagList
from pierhead.repositories.parts import Parts
from pierhead.repositories.visible import visible_images

Read = TypeVar("Read")


class Hosted:
    """Answers from the database alone; nothing in here waits for anything but the disk."""

    kind = "hosted"

    def __init__(self, name: RepositoryName, row_id: RepositoryId, parts: Parts) -> None:
        self.name = name
        self.row_id = row_id
        self.parts = parts
        self._members = (row_id,)
        self._lookups = parts.store.lookups

    def judged(self, image: ImageName) -> ImageName:
        """The name on which rights are judged."""
        return image

    async def manifest(self, who: Principal, image: ImageName, reference: Reference, *, head: bool) -> Found | Missing:
        """By tag or digest."""
        lookups = self._lookups
        if isinstance(reference, Digest):
            hits = await lookups.manifest(self._members, image, reference)
        else:
            hits = await lookups.tag(self._members, image, reference)
        if not hits:
            return MISSING
        return Found(self.name, await lookups.stored(hits[0].manifest))

    async def blob(self, who: Principal, image: ImageName, digest: Digest, *, head: bool) -> StoredBlob | Missing:
        """One that this image was given."""
        hit = await self._lookups.blob(self._members, image, digest)
        if hit is None:
            return MISSING
        return stored_blob(self.name, hit[1], self.parts.blobs)

    async def tags(self, who: Principal, image: ImageName, last: str, limit: int) -> TagList | Missing:
        """One more is asked for than is wanted, which tells whether there is another page."""
        found = await self._lookups.tags(self._members, image, last, limit + 1)
        if found is None:
            return MISSING
        return TagList(found[:limit], len(found) > limit)

    async def images(self, who: Principal, last: str, limit: int) -> ImageList:
        """Images that hold a manifest and that the account may pull."""
        return await visible_images(who, self.name, partial(self._lookups.images, self._members), last, limit)

    async def referrers(
        self, who: Principal, image: ImageName, subject: Digest, artifact_type: str | None, after: int = 0
    ) -> ReferrerList:
        """Those that were pushed with this subject, and those that old clients keep under the fallback tag."""
        return await referrers_page(self._lookups, self._members, image, subject, artifact_type, after)


def stored_blob(member: RepositoryName, row: BlobRow, blobs: BlobStore) -> StoredBlob:
    """How to send a blob that is here; ``row`` holds the bytes of a small one."""
    if row.body is not None:
        return StoredBlob(member, row.size, SendBytes(row.body))
    return StoredBlob(member, row.size, blobs.open(row.digest, row.generation, row.size))


async def local_referrers(
    lookups: Lookups, members: Members, image: ImageName, subject: Digest, artifact_type: str | None
) -> list[dict[str, object]]:
    """The first page of what local repositories hold."""
    return list((await referrers_page(lookups, members, image, subject, artifact_type, 0)).listed)


async def referrers_page(
    lookups: Lookups, members: Members, image: ImageName, subject: Digest, artifact_type: str | None, after: int
) -> ReferrerList:
    """What local repositories hold, each digest once, as descriptors of the referrers answer.

    The first page (``after`` 0) holds as well what stands under the subject's fallback tag and is not listed anyway.
    Nobody checked that it refers to the subject, so these entries are marked. Large manifests are parsed in a thread:
    there may be a thousand of them, of megabytes each.
    """
    most = limits.REFERRERS_ITEMS_MAX
    rows = list(await lookups.referrers(members, image, subject, artifact_type, after, most + 1))
    listed: dict[str, dict[str, object]] = {}
    size, taken = 0, 0
    for row in rows[:most]:
        stored = await lookups.stored(row.manifest)
        entry = await _off_the_loop(_descriptor, stored)
        size += len(str(entry))
        if size > limits.REFERRERS_BYTES_MAX and taken:
            break
        taken += 1
        listed[row.digest] = entry
    more = taken < len(rows)
    if not after:
        for hit in await lookups.tag(members, image, fallback_tag(subject)):
            stored = await lookups.stored(hit.manifest)
            for entry in await _off_the_loop(_fallback, stored):
                if artifact_type is None or entry.get("artifactType") == artifact_type:
                    listed.setdefault(str(entry["digest"]), entry)
    return ReferrerList(list(listed.values()), after=rows[taken - 1].manifest if more and taken else 0)


def fallback_tag(subject: Digest) -> Tag:
    """Where clients keep referrers in registries without the API; the digest is cut at 64 digits (OCI distribution
    specification, "Referrers Tag Schema")."""
    return Tag(f"{subject.algorithm}-{subject.hex[:64]}")


async def _off_the_loop(read: Callable[[StoredManifest], Read], stored: StoredManifest) -> Read:
    """Large manifests are read in a thread; a small one costs less than the hop, and others get their turn."""
    if len(stored.body) > limits.PARSED_ON_THE_LOOP_BYTES_MAX:
        return await asyncio.to_thread(read, stored)
    await asyncio.sleep(0)
    return read(stored)


def _descriptor(stored: StoredManifest) -> dict[str, object]:
    return referrer_descriptor(parse(stored.body, stored.media_type), stored.digest)


def _fallback(stored: StoredManifest) -> list[dict[str, object]]:
    return fallback_entries(stored.body, stored.media_type)


def fallback_entries(body: bytes, media_type: str) -> list[dict[str, object]]:
    """The descriptors of an index that a client keeps under the fallback tag; none of what is no index."""
    parsed = parse(body, media_type)
    if not isinstance(parsed, Index):
        return []
    entries: list[dict[str, object]] = json.loads(body)["manifests"]
    for entry in entries:
        raw = entry.get("annotations")
        annotations = dict(raw) if isinstance(raw, dict) else {}
        entry["annotations"] = {**annotations, "io.pierhead.referrer.unverified": "true"}
    return entries
