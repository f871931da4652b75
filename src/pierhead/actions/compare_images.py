"""What differs between two images, as far as they are kept here: nothing outside is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.image_diff import (
    Change,
    Layer,
    LayerDiff,
    PackageChange,
    Packages,
    diff_layers,
    diff_packages,
    diff_values,
    settings_of,
    steps_of,
)
from pierhead.domain.manifest import Child, Index, Manifest, parse
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.domain.provenance import Facts, Seen, compare_link, facts_of
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.values import BlobRow, RepositoryId
from pierhead.repositories.facts import CONFIG_BYTES_MAX, first_image, read_bytes, read_object
from pierhead.repositories.hosted import local_referrers
from pierhead.repositories.parts import Parts
from pierhead.repositories.sbom import SBOM_TYPES, packages_of


class Side(Struct, frozen=True):
    """One image to compare: where it may be kept (``Table.keeping``), and what of it is meant."""

    keeping: Mapping[RepositoryName, ImageName]
    reference: Reference


class Compared(Struct, frozen=True):
    """``root`` is what the reference stands for, ``manifest`` the one platform of it that is compared. ``packages`` is
    None without a bill of materials that can be read."""

    member: RepositoryName
    image: ImageName
    tag: Tag | None
    root: Digest
    manifest: Digest | None
    platform: str
    platforms: Sequence[str]
    size: int
    facts: Facts
    seen: Seen
    packages: Packages | None


class Difference(Struct, frozen=True):
    """``layers``, ``env``, ``labels`` and ``settings`` are None where one side's image is not here or is no image."""

    before: Compared
    after: Compared
    link: str | None
    layers: LayerDiff | None
    env: Sequence[Change] | None
    labels: Sequence[Change] | None
    settings: Sequence[Change] | None
    packages: Sequence[PackageChange] | None


class NotThere(Exception):
    """Nothing is kept under ``side``'s reference."""

    def __init__(self, side: Side) -> None:
        super().__init__("not there")
        self.side = side


class _Read(Struct, frozen=True):
    member: RepositoryName
    row_id: RepositoryId
    image: ImageName
    root: Digest
    annotations: Mapping[str, str]
    platforms: Sequence[str]
    platform: str
    digest: Digest | None
    manifest: Manifest | None
    config: BlobRow | None
    bills: Sequence[BlobRow]
    seen: Seen


async def compare_images(parts: Parts, before: Side, after: Side, platform: str) -> Difference:
    """``platform`` is which one of indexes is compared, "" for the first that both have.

    Raises NotThere, TimeoutError.
    """
    one, two = await parts.store.report(lambda reports: _both(reports, before, after, platform))
    made = []
    for side, read in ((before, one), (after, two)):
        bills = [*read.bills, *await _attached(parts, read)]
        made.append(await asyncio.to_thread(_compared, parts, side, read, bills))
    (left, old), (right, new) = made
    layers, env, labels, settings = None, None, None, None
    if one.manifest is not None and two.manifest is not None:
        layers = diff_layers(_layers(one.manifest, old), _layers(two.manifest, new))
        mine, theirs = settings_of(old), settings_of(new)
        env = diff_values(mine.env, theirs.env, mask=True)
        labels = diff_values(mine.labels, theirs.labels, mask=True)
        settings = diff_values(mine.single, theirs.single, mask=False)
    packages = None
    if left.packages is not None and right.packages is not None:
        packages = diff_packages(left.packages, right.packages)
    commits = [one.seen.commit or one.facts.revision for one in (left, right)]
    link = compare_link(right.facts.source or left.facts.source, *commits)
    return Difference(left, right, link, layers, env, labels, settings, packages)


# --- what is read of the database ------------------------------------------------------------------------------------


def _both(reports: Reports, before: Side, after: Side, platform: str) -> tuple[_Read, _Read]:
    found = [_root(reports, side) for side in (before, after)]
    wanted = platform or _common([index for *_, index in found if isinstance(index, Index)])
    one, two = (_read(reports, *root, wanted) for root in found)
    return one, two


def _root(reports: Reports, side: Side) -> tuple[RepositoryName, ImageName, Digest, Seen, Manifest | Index]:
    for member, image in side.keeping.items():
        seen, digest = Seen(), side.reference
        if isinstance(digest, Tag):
            history = reports.history(member, image, digest, 1)
            if not history or history[0].until is not None:
                continue
            digest = history[0].digest
        stored = reports.manifest(member, image, digest)
        if stored is not None:
            arrival = reports.board.brought(member, image, digest)
            return member, image, digest, arrival or seen, parse(stored.body, stored.media_type)
    raise NotThere(side)


def _common(indexes: Sequence[Index]) -> str:
    """The first platform of the first index that every other has too; "" if there is none."""
    named = [[str(one.platform) for one in index.children if one.platform is not None] for index in indexes]
    return next((one for one in (named[0] if named else ()) if all(one in others for others in named)), "")


def _read(
    reports: Reports, member: RepositoryName, image: ImageName, root: Digest, seen: Seen, found: Manifest | Index,
    wanted: str,
) -> _Read:  # fmt: skip
    row_id = reports.repositories()[member].id
    if isinstance(found, Manifest):
        config = reports.board.blob(member, image, found.config.digest)
        return _Read(member, row_id, image, root, found.annotations, (), "", root, found, config, (), seen)
    platforms = [
        str(one.platform) for one in found.children if one.platform is not None and one.platform.os != "unknown"
    ]
    child = next((one for one in found.children if str(one.platform) == wanted), None) or first_image(found)
    stored = None if child is None else reports.manifest(member, image, child.digest)
    inner = None if stored is None else parse(stored.body, stored.media_type)
    annotations = {**(inner.annotations if inner is not None else {}), **found.annotations}
    name = str(child.platform) if child is not None and child.platform is not None else ""
    digest = None if child is None else child.digest
    if not isinstance(inner, Manifest):
        return _Read(member, row_id, image, root, annotations, platforms, name, digest, None, None, (), seen)
    config = reports.board.blob(member, image, inner.config.digest)
    bills = list(_bills_of(reports, member, image, found, digest))
    return _Read(member, row_id, image, root, annotations, platforms, name, digest, inner, config, bills, seen)


def _bills_of(
    reports: Reports, member: RepositoryName, image: ImageName, index: Index, about: Digest | None
) -> Iterator[BlobRow]:
    """Those that BuildKit puts into the index, beside the image that they are about (moby/buildkit,
    docs/attestations/attestation-storage.md)."""
    for child in index.children[: limits.SBOMS_LOOKED_AT]:
        if not _attests(child, about):
            continue
        stored = reports.manifest(member, image, child.digest)
        manifest = None if stored is None else parse(stored.body, stored.media_type)
        if isinstance(manifest, Manifest):
            for layer in _bill_layers(manifest):
                if (row := reports.board.blob(member, image, layer.digest)) is not None:
                    yield row


def _attests(child: Child, about: Digest | None) -> bool:
    return child.annotations.get("vnd.docker.reference.digest") == about


def _bill_layers(manifest: Manifest) -> list[Descriptor]:
    return [one for one in manifest.layers if one.media_type in SBOM_TYPES]


# --- what is attached ------------------------------------------------------------------------------------------------


async def _attached(parts: Parts, read: _Read) -> list[BlobRow]:
    """Bills of materials among the referrers, those of the one platform first."""
    digests: list[Digest] = []
    for subject in dict.fromkeys(one for one in (read.digest, read.root) if one is not None):
        listed = await local_referrers(parts.store.lookups, (read.row_id,), read.image, subject, None)
        digests += [Digest.parse(str(one["digest"])) for one in listed if one.get("artifactType") in SBOM_TYPES]
    if not digests:
        return []
    wanted = digests[: limits.SBOMS_LOOKED_AT]
    return await parts.store.report(lambda reports: [*_attached_rows(reports, read, wanted)])


def _attached_rows(reports: Reports, read: _Read, digests: Sequence[Digest]) -> Iterator[BlobRow]:
    for digest in digests:
        stored = reports.manifest(read.member, read.image, digest)
        manifest = None if stored is None else parse(stored.body, stored.media_type)
        if not isinstance(manifest, Manifest):
            continue
        for layer in _bill_layers(manifest) or manifest.layers[:1]:
            if (row := reports.board.blob(read.member, read.image, layer.digest)) is not None:
                yield row


# --- in a worker thread ----------------------------------------------------------------------------------------------


def _compared(
    parts: Parts, side: Side, read: _Read, bills: Sequence[BlobRow]
) -> tuple[Compared, Mapping[str, object] | None]:
    config = None if read.config is None else read_object(parts.blobs, read.config, CONFIG_BYTES_MAX)
    packages = None
    for row in bills:
        body = read_bytes(parts.blobs, row, limits.SBOM_BYTES_MAX)
        packages = None if body is None else packages_of(body)
        if packages is not None:
            break
    size = 0 if read.manifest is None else sum(one.size for one in read.manifest.required)
    tag = side.reference if isinstance(side.reference, Tag) else None
    facts = facts_of(read.annotations, config)
    compared = Compared(
        read.member, read.image, tag, read.root, read.digest, read.platform, read.platforms, size, facts, read.seen,
        packages,
    )  # fmt: skip
    return compared, config


def _layers(manifest: Manifest, config: Mapping[str, object] | None) -> list[Layer]:
    steps = steps_of(config, len(manifest.layers))
    return [Layer(one.digest, one.size, step) for one, step in zip(manifest.layers, steps, strict=True)]
