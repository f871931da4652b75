"""Strict parse of a manifest's bytes into ``Manifest`` or ``Index``.

Sources: OCI image specification ("manifest", "image-index", "descriptor"), OCI distribution specification ("Pushing
manifests", "Listing referrers"), Docker image manifest version 2 schema 2. The bytes themselves are stored as they
came; what is read here only decides whether they are taken and what they name. Go clients match JSON keys without
regard to case and take the last of two equal keys, so whatever two readers could understand differently is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.refusals import DigestInvalid, ManifestInvalid, ManifestTooLarge, shown
from pierhead.domain.strict_json import Document, decode

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES: Final = IMAGE_TYPES | INDEX_TYPES

_SCHEMA_1_TYPES: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_SCHEMA_1: Final = (
    "it is a Docker schema 1 manifest, which today's clients no longer pull; push the image again with Docker 1.10 "
    "or newer, which writes schema 2"
)
_FOREIGN_PREFIXES: Final = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.diff.",
)

_MEDIA_TYPE_CHARACTERS_MAX: Final = 255


class _Keys:
    """The keys that an object's readers know, in their one right spelling."""

    __slots__ = ("by_folded", "known")

    def __init__(self, *known: str) -> None:
        self.known = frozenset(known)
        self.by_folded = {key.casefold(): key for key in known}


_TOP: Final = _Keys(
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
)
_DESCRIPTOR: Final = _Keys("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_PLATFORM: Final = _Keys("architecture", "os", "os.version", "os.features", "variant", "features")

_NOTHING: Final[Mapping[str, str]] = {}


class Platform(Struct, frozen=True):
    """What an index's entry runs on; an empty text is what the entry does not say."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Child(Descriptor, frozen=True):
    """An entry of an index."""

    platform: Platform | None
    annotations: Mapping[str, str]


class Manifest(Struct, frozen=True):
    """An OCI image manifest (artifacts too) or a Docker schema 2 manifest.

    ``size`` is in bytes. ``required`` are the blobs that have to be there before the manifest is taken: config and
    layers, each digest once. ``foreign`` are the layers that may be absent, since others hand them out.
    """

    media_type: str
    size: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    required: tuple[Descriptor, ...]
    foreign: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]


class Index(Struct, frozen=True):
    """An OCI image index or a Docker manifest list.

    ``children`` are the entries that are manifests, in their order. ``required`` are entries of other types, each
    digest once: blobs that have to be there, as buildkit's registry cache names its layers in an index.
    ``artifact_type`` is empty if the index says none.
    """

    media_type: str
    size: int
    children: tuple[Child, ...]
    required: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]


def parse(body: bytes, content_type: str | None) -> Manifest | Index:
    """``body`` as it came and the request's ``Content-Type`` (``None``: there was none, the document must say it).

    Raises ManifestTooLarge, ManifestInvalid (the sentence names the place, such as ``layers[3].size``) and
    DigestUnsupported. The time is linear in the length of ``body``.
    """
    if len(body) > limits.MANIFEST_BYTES_MAX:
        raise ManifestTooLarge(limits.MANIFEST_BYTES_MAX)
    document = decode(body)
    _spelling(document, _TOP, "")
    media_type = _media_type(document, content_type)
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2 or "fsLayers" in document:
        old = (type(version) is int and version == 1) or "fsLayers" in document
        raise ManifestInvalid(_SCHEMA_1 if old else "schemaVersion must be 2")
    read = _Reading(count_annotations=len(body) > limits.ANNOTATIONS_BYTES_MAX)
    if media_type in INDEX_TYPES:
        return _index(document, media_type, len(body), read)
    return _manifest(document, media_type, len(body), read)


def referrer_descriptor(manifest: Manifest | Index, digest: Digest) -> dict[str, object]:
    """The entry for ``manifest`` in the answer to a referrers request (OCI distribution specification, "Listing
    Referrers"): an index without an artifact type is shown without one."""
    entry: dict[str, object] = {"mediaType": manifest.media_type, "size": manifest.size, "digest": str(digest)}
    if manifest.artifact_type:
        entry["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return entry


# --- from a document to what it names ------------------------------------------------------------------------------


def _media_type(document: Document, content_type: str | None) -> str:
    """The type in lower case, from the document or else from the header, of which parameters do not count."""
    header = "" if content_type is None else content_type.partition(";")[0].strip().lower()
    if "mediaType" not in document:
        said = header
        if not said:
            raise ManifestInvalid("neither mediaType nor the header Content-Type says what it is")
    else:
        text = document["mediaType"]
        if not isinstance(text, str):
            raise ManifestInvalid("mediaType must be text")
        said = text.lower()
        if header and said != header:
            raise ManifestInvalid(
                f"mediaType is `{shown(text)}`, but the header Content-Type is `{shown(header)}`; send the same in both"
            )
    if said in MANIFEST_TYPES:
        return said
    if said in _SCHEMA_1_TYPES:
        raise ManifestInvalid(_SCHEMA_1)
    where = "mediaType" if "mediaType" in document else "the header Content-Type"
    raise ManifestInvalid(
        f"{where} is `{shown(said)}`; kept here are OCI image manifests and indexes ({OCI_MANIFEST}, {OCI_INDEX}), "
        f"Docker schema 2 manifests and manifest lists ({DOCKER_MANIFEST}, {DOCKER_LIST})"
    )


def _manifest(document: Document, media_type: str, size: int, read: _Reading) -> Manifest:
    if "manifests" in document:
        raise ManifestInvalid("an image manifest has no `manifests`; clients would disagree on what it is")
    config = read.descriptor(_table(document.get("config"), "config"), "config")
    entries = _entries(document, "layers")
    layers = tuple(read.descriptor(_table(entry, "layers", at), "layers", at) for at, entry in enumerate(entries))
    kept = [layer for layer in layers if not layer.media_type.startswith(_FOREIGN_PREFIXES)]
    artifact_type = _optional_type(document, "artifactType", "artifactType")
    required = _each_once((config, *kept))
    present = {one.digest for one in required}
    return Manifest(
        media_type=media_type,
        size=size,
        config=config,
        layers=layers,
        required=required,
        foreign=_each_once(one for one in layers if one.digest not in present) if len(kept) != len(layers) else (),
        subject=_subject(document, read),
        artifact_type=artifact_type or config.media_type,
        annotations=read.annotations(document, ""),
    )


def _index(document: Document, media_type: str, size: int, read: _Reading) -> Index:
    for key in ("layers", "config"):
        if key in document:
            raise ManifestInvalid(f"an index has no `{key}`; clients would disagree on what it is")
    children: list[Child] = []
    blobs: list[Descriptor] = []
    for at, entry in enumerate(_entries(document, "manifests")):
        child = read.child(_table(entry, "manifests", at), at)
        if child.media_type.lower() in MANIFEST_TYPES:
            children.append(child)
        else:
            blobs.append(Descriptor(child.digest, child.size, child.media_type))
    return Index(
        media_type=media_type,
        size=size,
        children=tuple(children),
        required=_each_once(blobs),
        subject=_subject(document, read),
        artifact_type=_optional_type(document, "artifactType", "artifactType"),
        annotations=read.annotations(document, ""),
    )


def _subject(document: Document, read: _Reading) -> Descriptor | None:
    subject = document.get("subject")
    return None if subject is None else read.descriptor(_table(subject, "subject"), "subject")


class _Reading:
    """One document's reading: remembers each digest's size, and how many bytes of annotations there were."""

    __slots__ = ("_annotation_bytes", "_count_annotations", "_sizes")

    def __init__(self, *, count_annotations: bool) -> None:
        # The bytes of a document are at least those of its annotations, so that small documents need no counting.
        self._count_annotations = count_annotations
        self._annotation_bytes = 0
        self._sizes: dict[Digest, int] = {}

    def descriptor(self, entry: Document, field: str, at: int | None = None) -> Descriptor:
        """``entry`` as a descriptor; its annotations are checked and left behind."""
        digest, size, media_type = self._parts(entry, field, at)
        if "annotations" in entry:
            self.annotations(entry, _place(field, at) + ".")
        return Descriptor(digest, size, media_type)

    def child(self, entry: Document, at: int) -> Child:
        digest, size, media_type = self._parts(entry, "manifests", at)
        where = _place("manifests", at) + "."
        return Child(digest, size, media_type, _platform(entry.get("platform"), where), self.annotations(entry, where))

    def annotations(self, entry: Document, where: str) -> Mapping[str, str]:
        found = entry.get("annotations")
        if found is None:
            return _NOTHING
        if not isinstance(found, dict):
            raise ManifestInvalid(f"{where}annotations must be an object")
        for key, value in found.items():
            if not isinstance(value, str):
                raise ManifestInvalid(f"{where}annotations: the value of `{shown(key)}` must be text")
            if self._count_annotations:
                self._annotation_bytes += len(key.encode()) + len(value.encode())
        if self._annotation_bytes > limits.ANNOTATIONS_BYTES_MAX:
            raise ManifestInvalid(f"its annotations have more than {limits.ANNOTATIONS_BYTES_MAX} bytes in all")
        return cast(Mapping[str, str], found)

    def _parts(self, entry: Document, field: str, at: int | None) -> tuple[Digest, int, str]:
        if not entry.keys() <= _DESCRIPTOR.known:
            _spelling(entry, _DESCRIPTOR, _place(field, at) + ".")
        media_type, text, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
        if not isinstance(media_type, str) or not _is_media_type(media_type):
            raise ManifestInvalid(f"{_place(field, at)}.mediaType must be a media type such as {OCI_MANIFEST}")
        if type(size) is not int or not 0 <= size <= limits.DESCRIPTOR_SIZE_MAX:
            raise ManifestInvalid(f"{_place(field, at)}.size must be a whole number from 0 to 2^63-1")
        if not isinstance(text, str):
            raise ManifestInvalid(f"{_place(field, at)}.digest must be text, written algorithm:hex")
        try:
            digest = Digest.parse(text)
        except DigestInvalid as refusal:
            raise ManifestInvalid(f"{_place(field, at)}.digest: {refusal.message.removesuffix('.')}") from None
        if self._sizes.setdefault(digest, size) != size:
            raise ManifestInvalid(f"{_place(field, at)}.size is not the one given elsewhere in it for {digest}")
        return digest, size, media_type


def _place(field: str, at: int | None) -> str:
    return field if at is None else f"{field}[{at}]"


def _spelling(found: Document, keys: _Keys, where: str) -> None:
    for key in found:
        right = keys.by_folded.get(key.casefold(), key)
        if right != key:
            raise ManifestInvalid(f"`{where}{shown(key)}` is spelled `{right}`; some clients would read it as that")


def _table(found: object, field: str, at: int | None = None) -> Document:
    if not isinstance(found, dict):
        raise ManifestInvalid(f"{_place(field, at)} must be a descriptor: an object with mediaType, digest and size")
    return cast(Document, found)


def _entries(document: Document, field: str) -> list[object]:
    """``null`` is how Go writes an empty list, and is read as one; a list that is left out is a fault."""
    found = document.get(field, document)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ManifestInvalid(f"`{field}` must be a list of descriptors")
    if len(found) > limits.MANIFEST_REFERENCES_MAX:
        raise ManifestInvalid(f"`{field}` has {len(found)} entries; at most {limits.MANIFEST_REFERENCES_MAX} are taken")
    return cast(list[object], found)


def _optional_type(document: Document, key: str, where: str) -> str:
    found = document.get(key)
    if found is None or found == "":
        return ""
    if not isinstance(found, str) or not _is_media_type(found):
        raise ManifestInvalid(f"{where} must be a media type")
    return found


def _is_media_type(text: str) -> bool:
    """Loose on purpose: artifacts carry types that no register knows (RFC 6838 has at most 127 characters a side)."""
    return 0 < len(text) <= _MEDIA_TYPE_CHARACTERS_MAX and text.isprintable()


def _platform(found: object, where: str) -> Platform | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ManifestInvalid(f"{where}platform must be an object")
    table = cast(Document, found)
    if not table.keys() <= _PLATFORM.known:
        _spelling(table, _PLATFORM, f"{where}platform.")
    said: list[str] = []
    for key in ("os", "architecture", "variant", "os.version"):
        value = table.get(key)
        if value is None:
            value = ""
        if not isinstance(value, str):
            raise ManifestInvalid(f"{where}platform.{key} must be text")
        said.append(value)
    return Platform(*said)


def _each_once(descriptors: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple({one.digest: one for one in descriptors}.values())
