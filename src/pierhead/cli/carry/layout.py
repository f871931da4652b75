"""The OCI image layout in a tar file: what its index says, and how names stand in it.

Source: OCI image specification 1.1, "image-layout"; the names that buildkit and containerd write beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from pierhead.cli.carry.cargo import Cargo, Item
from pierhead.cli.client import Fault
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import OCI_INDEX, Index, parse
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Refusal

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
VERSION: Final = "1.0.0"
REF_NAME: Final = "org.opencontainers.image.ref.name"
FULL_NAME: Final = "io.containerd.image.name"
IMAGE: Final = "pierhead.image"
SUBJECT: Final = "pierhead.subject"


@dataclass(frozen=True, slots=True)
class Root:
    """An entry of the index: ``image`` and ``tag`` as far as it says them."""

    digest: Digest
    media_type: str
    size: int
    image: ImageName | None
    tag: Tag | None
    subject: bool

    @property
    def attached(self) -> bool:
        """Whether it belongs to another entry."""
        return self.subject or (self.tag is not None and self.tag.is_fallback)


def index_of(cargo: Cargo, root: Digest, image: ImageName, host: str, repository: str) -> bytes:
    """The bytes of ``index.json``: the image first, then what refers to it or to its parts, each with its subject."""
    by_digest = {digest: tag for tag, digest in cargo.tags.items()}
    own = next(one for one in cargo.items if one.digest == root)
    entries = [_entry(own, by_digest.get(root), image, f"{host}/{repository}/{image}")]
    entries += [
        _entry(one, by_digest.get(one.digest), None, "")
        for one in cargo.items
        if one.digest != root and (one.subject is not None or one.digest in by_digest)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return json.dumps(document, separators=(",", ":")).encode()


def _entry(item: Item, tag: Tag | None, image: ImageName | None, full: str) -> dict[str, object]:
    entry: dict[str, object] = {"mediaType": item.media_type, "digest": item.digest, "size": item.size}
    if image is None and item.artifact_type:
        entry["artifactType"] = item.artifact_type
    notes: dict[str, str] = {}
    if tag is not None:
        notes[REF_NAME] = tag
    if image is not None:
        notes[IMAGE] = image
        if tag is not None:
            notes[FULL_NAME] = f"{full}:{tag}"
    if item.subject is not None and image is None:
        notes[SUBJECT] = item.subject
    if notes:
        entry["annotations"] = notes
    return entry


def roots_of(body: bytes, where: str) -> list[Root]:
    """The entries of an ``index.json``. Raises Fault for bytes that are no index."""
    try:
        parsed = parse(body, OCI_INDEX)
    except Refusal as refusal:
        raise Fault(f"{INDEX_FILE} in {where} is no index: {refusal.message}") from None
    if not isinstance(parsed, Index) or not parsed.children:
        raise Fault(f"{INDEX_FILE} in {where} lists no image.")
    found = []
    for child in parsed.children:
        image, tag = _names(child.annotations)
        found.append(Root(child.digest, child.media_type, child.size, image, tag, SUBJECT in child.annotations))
    return found


def _names(notes: object) -> tuple[ImageName | None, Tag | None]:
    """From our own annotations, or else from those of others: TAG, NAME:TAG, or a whole reference."""
    assert isinstance(notes, dict)
    image, tag = None, None
    for key in (FULL_NAME, REF_NAME):  # the second is the specification's, and has the last word on the tag
        if key in notes:
            found, said = split(str(notes[key]))
            image, tag = found or image, said or tag
    if IMAGE in notes:
        image = _image(str(notes[IMAGE])) or image
    return image, tag


def split(text: str) -> tuple[ImageName | None, Tag | None]:
    """``1.0.0``, ``a/b:1.0.0`` and ``host:5000/a/b:1.0.0`` in their parts; what is none of these gives nothing."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        name, tag = (text, "") if "/" in text else ("", text)
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        name = rest.removeprefix("library/") if first == "docker.io" else rest
    return _image(name), _tag(tag)


def _image(text: str) -> ImageName | None:
    try:
        return ImageName.parse(text)
    except Refusal:
        return None


def _tag(text: str) -> Tag | None:
    try:
        return Tag.parse(text)
    except Refusal:
        return None


def place_of(digest: Digest) -> str:
    """Where the content of a digest lies in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"
