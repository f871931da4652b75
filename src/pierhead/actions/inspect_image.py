"""All that is known of one image: its manifest, its config, who pushed it, what refers to it. Only what is kept here is
looked at: to inspect costs no upstream anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.manifest import Child, Index, Manifest, parse
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.ports.blobs import SendBytes
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.values import RepositoryId, StoredManifest, TagInterval
from pierhead.repositories.hosted import local_referrers
from pierhead.repositories.parts import Parts

_CONFIG_BYTES_MAX: Final = 4 << 20
_HISTORY_SHOWN: Final = 20
_TAGS_SHOWN: Final = 100
_CHILDREN_READ: Final = 256


class ListedChild(Struct, frozen=True):
    """An entry of an index. ``size`` is that of its blobs, None if its manifest is not here."""

    child: Child
    size: int | None


class Inspection(Struct, frozen=True):
    """``size`` is that of all blobs that are known below the manifest, each once. ``config`` is the image's
    configuration as its JSON object, None if there is none, it is not here, or it is no JSON object."""

    member: RepositoryName
    stored: StoredManifest
    manifest: Manifest | Index
    size: int
    children: Sequence[ListedChild]
    tags: Sequence[Tag]
    history: Sequence[TagInterval]
    referrers: Sequence[Mapping[str, object]]
    config: Mapping[str, object] | None


class _Read(Struct, frozen=True):
    member: RepositoryName
    row_id: RepositoryId
    image: ImageName
    stored: StoredManifest
    manifest: Manifest | Index
    size: int
    children: Sequence[ListedChild]
    tags: Sequence[Tag]
    history: Sequence[TagInterval]


async def inspect_image(
    parts: Parts, keeping: Mapping[RepositoryName, ImageName], reference: Reference
) -> Inspection | None:
    """``keeping`` are the repositories that may hold the image, and under which name, in the order of asking
    (``Table.keeping``). None if none of them has it. Raises TimeoutError."""
    read = await parts.store.report(lambda reports: _read(reports, keeping, reference))
    if read is None:
        return None
    listed = await local_referrers(parts.store.lookups, (read.row_id,), read.image, read.stored.digest, None)
    config = await _config(parts, read)
    return Inspection(
        read.member,
        read.stored,
        read.manifest,
        read.size,
        read.children,
        read.tags,
        read.history,
        listed,
        config,
    )


def _read(reports: Reports, keeping: Mapping[RepositoryName, ImageName], reference: Reference) -> _Read | None:
    for member, image in keeping.items():
        history: Sequence[TagInterval] = ()
        if isinstance(reference, Digest):
            digest: Digest = reference
        else:
            history = reports.history(member, image, reference, _HISTORY_SHOWN)
            if not history or history[0].until is not None:
                continue
            digest = history[0].digest
        stored = reports.manifest(member, image, digest)
        if stored is None:
            continue
        manifest = parse(stored.body, stored.media_type)
        children, size = _below(reports, member, image, manifest)
        tags = reports.tags_of(member, image, digest, _TAGS_SHOWN)
        row = reports.repositories()[member]
        return _Read(member, row.id, image, stored, manifest, size, children, tags, history)
    return None


def _below(
    reports: Reports, member: RepositoryName, image: ImageName, manifest: Manifest | Index
) -> tuple[Sequence[ListedChild], int]:
    blobs = {blob.digest: blob.size for blob in manifest.required}
    if isinstance(manifest, Manifest):
        return (), sum(blobs.values())
    children: list[ListedChild] = []
    for number, child in enumerate(manifest.children):
        stored = reports.manifest(member, image, child.digest) if number < _CHILDREN_READ else None
        size: int | None = None
        if stored is not None:
            below = {blob.digest: blob.size for blob in parse(stored.body, stored.media_type).required}
            size = sum(below.values())
            blobs.update(below)
        children.append(ListedChild(child, size))
    return children, sum(blobs.values())


async def _config(parts: Parts, read: _Read) -> Mapping[str, object] | None:
    manifest = read.manifest
    if isinstance(manifest, Index) or manifest.config.size > _CONFIG_BYTES_MAX:
        return None
    hit = await parts.store.lookups.blob((read.row_id,), read.image, manifest.config.digest)
    if hit is None:
        return None
    row = hit[1]
    if row.body is not None:
        return _object(row.body)
    delivery = parts.blobs.open(row.digest, row.generation, row.size)
    body = delivery.body if isinstance(delivery, SendBytes) else await asyncio.to_thread(_bytes, delivery.path)
    return _object(body)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_CONFIG_BYTES_MAX)
    except OSError:
        return b""


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
