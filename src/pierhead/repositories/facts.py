"""What images say of themselves, read from their manifests and configurations and remembered: neither ever changes."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.manifest import Child, Index, Manifest, parse
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.provenance import NO_FACTS, Facts, facts_of, platform_of
from pierhead.ports.blobs import BlobStore, SendBytes
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.values import BlobRow
from pierhead.repositories.parts import Parts

CONFIG_BYTES_MAX: Final = 4 * limits.MIB


class Whereabouts(Struct, frozen=True):
    """Bytes of an image, and an image that was given them."""

    repository: RepositoryName
    image: ImageName
    digest: Digest


class _Read(Struct, frozen=True):
    annotations: Mapping[str, str]
    platforms: tuple[str, ...]
    config: BlobRow | None


class FactsShelf:
    """Bounded: what was looked at last stays. Of one process; what it holds is true for all."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Digest, Facts] = OrderedDict()

    async def read(self, parts: Parts, wanted: Sequence[Whereabouts]) -> Mapping[Digest, Facts]:
        """Of all that are here; one statement or two for each that is not remembered, in one snapshot. What cannot be
        read says nothing of itself. Raises TimeoutError."""
        missing = list({one.digest: one for one in wanted if one.digest not in self._kept}.values())
        found = {one.digest: self._kept[one.digest] for one in wanted if one.digest in self._kept}
        for digest in found:
            self._kept.move_to_end(digest)
        if missing:
            reads = await parts.store.report(lambda reports: [_read(reports, one) for one in missing])
            made = await asyncio.to_thread(_all_facts, parts.blobs, reads)
            for one, facts in zip(missing, made, strict=True):
                found[one.digest] = self._kept[one.digest] = facts
            while len(self._kept) > limits.FACTS_KEPT_MAX:
                self._kept.popitem(last=False)
        return found


def read_object(blobs: BlobStore, row: BlobRow, most: int) -> Mapping[str, object] | None:
    """A blob as a JSON object, for a worker thread; None if it is larger than ``most``, is no such thing or cannot be
    read."""
    body = read_bytes(blobs, row, most)
    try:
        found: object = None if body is None else json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_bytes(blobs: BlobStore, row: BlobRow, most: int) -> bytes | None:
    """A blob whole, for a worker thread; None if it is larger than ``most`` or cannot be read."""
    if row.size > most:
        return None
    if row.body is not None:
        return row.body
    delivery = blobs.open(row.digest, row.generation, row.size)
    if isinstance(delivery, SendBytes):
        return delivery.body
    try:
        with open(delivery.path, "rb") as file:
            return file.read(most)
    except OSError:
        return None


def first_image(index: Index) -> Child | None:
    """The entry that stands for the whole: the first that runs somewhere. Attestations run nowhere (BuildKit gives them
    the platform ``unknown/unknown``)."""
    return next((one for one in index.children if one.platform is None or one.platform.os != "unknown"), None)


def _read(reports: Reports, at: Whereabouts) -> _Read | None:
    stored = reports.manifest(at.repository, at.image, at.digest)
    if stored is None:
        return None
    manifest = parse(stored.body, stored.media_type)
    if isinstance(manifest, Manifest):
        return _Read(manifest.annotations, (), _config(reports, at, manifest.config))
    known = [child.platform for child in manifest.children if child.platform is not None]
    platforms = tuple(str(one) for one in known if one.os != "unknown")
    child = first_image(manifest)
    below = None if child is None else reports.manifest(at.repository, at.image, child.digest)
    inner = None if below is None else parse(below.body, below.media_type)
    if not isinstance(inner, Manifest):
        return _Read(manifest.annotations, platforms, None)
    annotations = {**inner.annotations, **manifest.annotations}
    return _Read(annotations, platforms, _config(reports, at, inner.config))


def _config(reports: Reports, at: Whereabouts, config: Descriptor) -> BlobRow | None:
    return reports.board.blob(at.repository, at.image, config.digest)


def _all_facts(blobs: BlobStore, reads: Sequence[_Read | None]) -> list[Facts]:
    return [_facts(blobs, one) for one in reads]


def _facts(blobs: BlobStore, read: _Read | None) -> Facts:
    if read is None:
        return NO_FACTS
    config = None if read.config is None else read_object(blobs, read.config, CONFIG_BYTES_MAX)
    own = platform_of(config)
    return facts_of(read.annotations, config, read.platforms or ((own,) if own else ()))
