"""Whether an image of a hosted repository is signed: what is attached to it is read and judged, and nobody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import Unavailable
from pierhead.domain.signatures import (
    REFERRER_TYPES,
    Layer,
    clause,
    layers_of,
    tag_of,
    too_large,
    wrong_with,
)
from pierhead.ports.blobs import BlobStore, SendBytes
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import ManifestId, StoredManifest
from pierhead.ports.public_keys import KeyFiles, PublicKeys
from pierhead.ports.signatures import Subject
from pierhead.repositories.hosted import fallback_tag, local_referrers


class SignedImages:
    """Implements ``ports.signatures.Signatures``."""

    def __init__(self, store: Store, blobs: BlobStore, keys: PublicKeys) -> None:
        self._store = store
        self._blobs = blobs
        self._keys = keys

    async def wrong(self, subject: Subject, keys: Sequence[str]) -> str | None:
        """See the port."""
        files = await asyncio.to_thread(self._keys.read, keys)
        if not files.keys:
            return "; ".join(files.faults) or "no key is named"
        hits = await self._store.lookups.manifest((subject.repository,), subject.image, subject.digest)
        if not hits:
            return "it is not there"
        manifest = await self._store.lookups.stored(hits[0].manifest)
        reasons: list[str] = []
        async for layer in self._layers(subject):
            wrong = await self._judge(subject, manifest, layer, files)
            if wrong is None:
                return None
            reasons.append(wrong)
            if len(reasons) >= limits.SIGNATURES_LOOKED_AT_MAX:
                break
        return clause(reasons, files.faults)

    async def _judge(self, subject: Subject, manifest: StoredManifest, layer: Layer, files: KeyFiles) -> str | None:
        wrong = too_large(layer)
        if wrong is not None:
            return wrong
        content = await self._content(subject, layer.content.digest)
        if content is None:
            return "what was signed is not there any more"
        return await asyncio.to_thread(wrong_with, layer, content, subject.digest, manifest.body, files.verifies)

    async def _layers(self, subject: Subject) -> AsyncIterator[Layer]:
        """Of all that is attached in one of cosign's ways, each manifest once."""
        members, lookups = (subject.repository,), self._store.lookups
        seen: set[Digest] = set()
        async for stored in self._attached(subject):
            if stored.digest not in seen:
                seen.add(stored.digest)
                for layer in layers_of(stored.body):
                    yield layer
        if await lookups.tag(members, subject.image, fallback_tag(subject.digest)):
            for entry in await local_referrers(lookups, members, subject.image, subject.digest, None):
                digest = Digest.parse(str(entry["digest"]))
                for hit in () if digest in seen else await lookups.manifest(members, subject.image, digest):
                    seen.add(digest)
                    for layer in layers_of((await lookups.stored(hit.manifest)).body):
                        yield layer

    async def _attached(self, subject: Subject) -> AsyncIterator[StoredManifest]:
        members, lookups = (subject.repository,), self._store.lookups
        tag = tag_of(subject.digest)
        for hit in () if tag is None else await lookups.tag(members, subject.image, tag):
            yield await lookups.stored(hit.manifest)
        for kind in REFERRER_TYPES:
            after = 0
            while rows := await lookups.referrers(
                members, subject.image, subject.digest, kind, after, limits.REFERRERS_ITEMS_MAX
            ):
                for row in rows:
                    yield await lookups.stored(ManifestId(row.manifest))
                after = rows[-1].manifest

    async def _content(self, subject: Subject, digest: Digest) -> bytes | None:
        """Raises Unavailable where the disk does not give it."""
        hit = await self._store.lookups.blob((subject.repository,), subject.image, digest)
        if hit is None:
            return None
        row = hit[1]
        if row.body is not None:
            return row.body
        if row.size > limits.BUNDLE_BYTES_MAX:
            return b""  # its layer says another size
        delivery = self._blobs.open(row.digest, row.generation, row.size)
        return delivery.body if isinstance(delivery, SendBytes) else await asyncio.to_thread(_read, delivery.path)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limits.BUNDLE_BYTES_MAX + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Unavailable("A signature cannot be read from the disk.", retry_after=30) from error
