"""What tests of the metadata store are told with: a clock that stands still, repositories, images, pushes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from pierhead.commits.blob import Place, land_blob
from pierhead.commits.deletion import Deletion
from pierhead.commits.manifest import ManifestAccepted, ManifestPush, push_manifest
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import OCI_INDEX, OCI_MANIFEST, parse
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import OnceRule, WritePolicy
from pierhead.ports.blobs import Landed
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import NewManifest, RepositoryRow

P = ParamSpec("P")
T = TypeVar("T")

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
IMAGE = ImageName("orchestrator/server")

Another = Callable[[], Awaitable[Store]]


class HandClock:
    """Moves only when a test moves it; ``now`` in microseconds."""

    def __init__(self, now: int = 1_700_000_000 * SECOND) -> None:
        self.at = now

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / SECOND

    def advance(self, microseconds: int) -> None:
        self.at += microseconds


def later(fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> Callable[[Tx], T]:
    """``fn`` with these arguments, waiting for its transaction."""
    return lambda tx: fn(tx, *args, **kwargs)


def generation(number: int) -> str:
    return f"{number:016x}"


@dataclass(frozen=True)
class Shelf:
    """One image of a repository, and what may be done with it in a transaction."""

    repository: RepositoryRow
    image: ImageName = IMAGE
    lease: int = DAY

    @property
    def place(self) -> Place:
        return Place(self.repository.id, self.repository.name, self.image, self.lease)

    def deletion(self) -> Deletion:
        return Deletion(self.repository.id, self.repository.name, self.image, "ann", self.lease)

    def land(self, tx: Tx, body: bytes, number: int = 1, *, inline: bool = True) -> Digest:
        """A blob arrives; returns its digest."""
        digest = Digest.of(body)
        land_blob(tx, self.place, Landed(digest, len(body), generation(number), body if inline else None))
        return digest

    def push(self, tx: Tx, body: bytes, *tags: str, account: str = "ann") -> ManifestAccepted:
        names = tuple(Tag.parse(tag) for tag in tags)
        parsed = parse(body, None)
        place = (self.repository.id, self.repository.name, self.image)
        return push_manifest(tx, ManifestPush(*place, Digest.of(body), body, parsed, names, account))

    def push_seen(self, tx: Tx, body: bytes, through: Mapping[str, object], *tags: str) -> ManifestAccepted:
        """A push of somebody whose login told ``through`` of them."""
        names = tuple(Tag.parse(tag) for tag in tags)
        place = (self.repository.id, self.repository.name, self.image)
        told = {"through": dict(through)}
        push = ManifestPush(*place, Digest.of(body), body, parse(body, None), names, "job", circumstances=told)
        return push_manifest(tx, push)

    def push_image(self, tx: Tx, text: str, *tags: str, account: str = "ann") -> Digest:
        """An image with a config of its own, blobs and all; returns the manifest's digest."""
        config = b'{"text": "%s"}' % text.encode()
        self.land(tx, config)
        return self.push(tx, manifest(config), *tags, account=account).digest


def descriptor(body: bytes, media_type: str = "application/octet-stream") -> dict[str, object]:
    return {"mediaType": media_type, "digest": Digest.of(body), "size": len(body)}


def manifest(config: bytes, *layers: bytes, subject: bytes | None = None, artifact_type: str = "") -> bytes:
    """The bytes of a manifest over these blobs."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
    }
    if subject is not None:
        document["subject"] = descriptor(subject, OCI_MANIFEST)
    if artifact_type:
        document["artifactType"] = artifact_type
    return json.dumps(document).encode()


def index(*children: bytes) -> bytes:
    """The bytes of an index over these manifests."""
    listed = [descriptor(child, OCI_MANIFEST) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def cache_manifest(tx: Tx, at: Shelf, *blobs: bytes) -> Digest:
    """As a proxy does: the manifest is kept although its blobs may not be here yet."""
    body = manifest(blobs[0], *blobs[1:])
    rows = tx.blobs.expect([(Digest.of(blob), len(blob)) for blob in blobs])
    ids = tuple(row.id for row in rows.values())
    found = tx.manifests.put(NewManifest(Digest.of(body), "", "", body, None, ids, ()))
    tx.manifests.link(tx.images.ensure(at.repository.id, at.image), [found])
    return Digest.of(body)


async def shelf(
    store: Store,
    name: str = "dev",
    policy: WritePolicy = WritePolicy.ALLOW,
    image: str = IMAGE,
    lease: int = DAY,
    once: tuple[OnceRule, ...] = (),
) -> Shelf:
    """An image of a hosted repository, which is made if it is not there."""
    repository = RepositoryName.parse(name)
    row = await store.write(lambda tx: tx.repositories.ensure(repository, "hosted", policy, once))
    return Shelf(row, ImageName.parse(image), lease)
