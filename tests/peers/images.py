"""Images, indexes and artifacts as bytes, built by hand after the OCI image specification 1.1.

Everything is the same on each run: what is random comes from a seed, and times are zero.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

Json = dict[str, Any]


def sha256(data: bytes) -> str:
    """`sha256:` and 64 digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Blob:
    """Bytes with a media type: a layer, a config, a manifest or an index."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return sha256(self.data)

    @property
    def size(self) -> int:
        return len(self.data)

    def descriptor(self, **more: object) -> Json:
        """As it stands in what refers to it; `more` are further members, such as platform or annotations."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True)
class Layer(Blob):
    """A layer as it is sent; `diff_id` is the digest of the tar inside it."""

    diff_id: str


@dataclass(frozen=True)
class Image:
    """A manifest and the blobs that it names."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """The config and the layers, each once, in the order in which a client sends them."""
        return tuple({blob.digest: blob for blob in (*self.layers, self.config)}.values())


@dataclass(frozen=True)
class Index:
    """An index and the images that it names."""

    manifest: Blob
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest


def json_blob(value: Json, media_type: str) -> Blob:
    return Blob(json.dumps(value, separators=(",", ":")).encode(), media_type)


def tar_of(files: Mapping[str, bytes], *, mode: int = 0o644) -> bytes:
    """A tar file, not compressed; names of folders end with a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            else:
                entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def layer(files: Mapping[str, bytes], *, docker: bool = False, mode: int = 0o644) -> Layer:
    """A real layer: a compressed tar that engines can unpack."""
    tar = tar_of(files, mode=mode)
    return Layer(gzip.compress(tar, 6, mtime=0), DOCKER_LAYER if docker else OCI_LAYER, sha256(tar))


def random_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def random_layer(size: int, seed: int = 0, *, docker: bool = False) -> Layer:
    """A real layer with one file of `size` bytes that do not compress."""
    return layer({f"random-{seed}.bin": random_bytes(size, seed)}, docker=docker)


def image(
    layers: Sequence[Layer] | None = None,
    *,
    seed: int = 0,
    architecture: str = "amd64",
    docker: bool = False,
    command: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An image that engines accept; images of different seeds differ. Without layers, it gets one small one."""
    chosen = tuple(layers) if layers is not None else (random_layer(2_000, seed, docker=docker),)
    config = json_blob(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/"], "Cmd": list(command), "Labels": {"seed": str(seed)}},
            "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in chosen]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(chosen))],
        },
        DOCKER_CONFIG if docker else OCI_CONFIG,
    )
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    content: Json = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor(),
        "layers": [one.descriptor() for one in chosen],
    }
    if annotations:
        content["annotations"] = dict(annotations)
    return Image(json_blob(content, media_type), config, chosen)


def layered_image(count: int, size: int = 1_000, *, seed: int = 0, docker: bool = False) -> Image:
    """An image with `count` different layers of about `size` bytes."""
    return image([random_layer(size, seed * 1_000 + n, docker=docker) for n in range(count)], seed=seed, docker=docker)


def index(images: Mapping[str, Image], *, docker: bool = False) -> Index:
    """An index of images by platform: `{"linux/amd64": …, "linux/arm64": …}`."""
    media_type = DOCKER_LIST if docker else OCI_INDEX
    entries = [one.manifest.descriptor(platform=_platform(name)) for name, one in images.items()]
    content: Json = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return Index(json_blob(content, media_type), tuple(images.values()))


def _platform(name: str) -> Json:
    system, architecture, *variant = name.split("/")
    return {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}


def artifact(
    subject: Image | Index | None = None,
    *,
    artifact_type: str = "application/vnd.example.signature.v1",
    payload: bytes = b"signed",
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """A manifest that is no image: a signature, an SBOM; with a subject it is one of that one's referrers."""
    empty = Blob(b"{}", OCI_EMPTY)
    content_blob = Blob(payload, "application/octet-stream")
    content: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty.descriptor(),
        "layers": [content_blob.descriptor()],
    }
    if subject is not None:
        content["subject"] = subject.manifest.descriptor()
    if annotations:
        content["annotations"] = dict(annotations)
    return Image(json_blob(content, OCI_MANIFEST), empty, (content_blob,))


def write_layout(folder: Path, images: Mapping[str, Image | Index]) -> None:
    """An OCI image layout in `folder`, by tag: `skopeo copy oci:FOLDER:TAG …` reads it."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def write(blob: Blob) -> None:
        (blobs / blob.digest.removeprefix("sha256:")).write_bytes(blob.data)

    named = []
    for tag, one in images.items():
        for inner in one.images if isinstance(one, Index) else (one,):
            for blob in (*inner.blobs, inner.manifest):
                write(blob)
        write(one.manifest)
        named.append(one.manifest.descriptor(annotations={"org.opencontainers.image.ref.name": tag}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": named}))


def docker_archive(image: Image, name: str) -> bytes:
    """What `docker load` reads: a tar with the config, the layers unpacked, and manifest.json; `name` is NAME:TAG."""
    config_name = image.config.digest.removeprefix("sha256:") + ".json"
    files: dict[str, bytes] = {config_name: image.config.data}
    for one in image.layers:
        files[one.digest.removeprefix("sha256:") + ".tar"] = gzip.decompress(one.data)
    listed = [one.digest.removeprefix("sha256:") + ".tar" for one in image.layers]
    files["manifest.json"] = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": listed}]).encode()
    return tar_of(files)
