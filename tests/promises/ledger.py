"""Clients that push without a pause and write down what was acknowledged, so that it can be asked for after a crash."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.peers.images import Blob, Image, Index, Layer, image, index, layer, random_bytes
from tests.peers.processes import wait_until
from tests.peers.wire import Wire

# Bytes of layers: into a row, into a file at once, in several batches.
SIZES = (1_000, 14_000, 17_000, 300_000, 3_000_000)


@dataclass
class TagStory:
    """What one tag was told to be, in order; `acknowledged` counts from the left up to the last 201."""

    digests: list[str] = field(default_factory=list)
    acknowledged: int = 0

    @property
    def allowed(self) -> set[str]:
        """What it may point at now: the last that was acknowledged, or a later one."""
        return set(self.digests[max(self.acknowledged - 1, 0) :])


@dataclass
class Ledger:
    """What one client was told is stored."""

    image: str
    blobs: dict[str, int] = field(default_factory=dict)
    manifests: dict[str, Blob] = field(default_factory=dict)
    tags: dict[str, TagStory] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Digests that were read back already."""
    answers: int = 0
    """How often a 201 came; may be read by other threads."""


class Pusher(threading.Thread):
    """Pushes images and indexes, whole and in chunks, until the server goes away or it is told to stop."""

    def __init__(self, connect: Callable[[], Wire], ledger: Ledger, seed: int) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self.ledger = ledger
        self._random = random.Random(seed)
        self._told = threading.Event()
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            with self._connect() as wire:
                while not self._told.is_set():
                    self._push_one(wire)
        except (OSError, http.client.HTTPException):
            return  # the server has gone, as it was meant to
        except BaseException as fault:
            self.fault = fault

    def finish(self) -> None:
        """Stop after the push that is under way; raises what went wrong, other than a lost connection."""
        self._told.set()
        self.join(30)
        assert not self.is_alive(), "a push is still waiting for an answer"
        if self.fault is not None:
            raise self.fault

    def _push_one(self, wire: Wire) -> None:
        # Half of them are pushed by others too, perhaps at this moment.
        seed = 2 * (self._random.randrange(20) if self._random.random() < 0.5 else self._random.getrandbits(40))
        if self._random.random() < 0.2:
            both = index({"linux/amd64": self._image(seed), "linux/arm64": self._image(seed + 1)})
            for one in both.images:
                self._push_image(wire, one, one.digest)
            self._put(wire, both, self._tag())
        else:
            one = self._image(seed)
            self._push_image(wire, one, self._tag())

    def _image(self, seed: int) -> Image:
        sizes = self._random.choices(SIZES, weights=(8, 4, 4, 3, 1), k=self._random.choice((1, 2)))
        layers: Sequence[Layer] = [plain_layer(size, seed * 8 + n) for n, size in enumerate(sizes)]
        return image(layers, seed=seed)

    def _tag(self) -> str:
        return f"t{self._random.randrange(4)}"

    def _push_image(self, wire: Wire, one: Image, reference: str) -> None:
        name = self.ledger.image
        for blob in one.blobs:
            if self._random.random() < 0.3 and blob.size > 1:
                push_in_chunks(wire, name, blob, blob.size // 2)
            else:
                wire.push_blob(name, blob)
            self.ledger.blobs[blob.digest] = blob.size
            self.ledger.answers += 1
        self._put(wire, one, reference)

    def _put(self, wire: Wire, what: Image | Index, reference: str) -> None:
        story = None
        if ":" not in reference:
            story = self.ledger.tags.setdefault(reference, TagStory())
            story.digests.append(what.digest)
        wire.put_manifest(self.ledger.image, reference, what.manifest).expect(201)
        self.ledger.manifests[what.digest] = what.manifest
        self.ledger.answers += 1
        if story is not None:
            story.acknowledged = len(story.digests)


def plain_layer(size: int, seed: int) -> Layer:
    """A layer of exactly `size` bytes: random, and no tar, which a registry does not look into."""
    whole = layer({})
    data = random_bytes(size, seed)
    return Layer(data, whole.media_type, "sha256:" + hashlib.sha256(data).hexdigest())


def push_in_chunks(wire: Wire, name: str, blob: Blob, first: int) -> None:
    """POST, PATCH with the first bytes, PATCH with the rest, PUT with none."""
    location = wire.upload_start(name)
    for start, end in ((0, first), (first, blob.size)):
        headers = {"Content-Range": f"{start}-{end - 1}", "Content-Type": "application/octet-stream"}
        location = str(wire.request("PATCH", location, blob.data[start:end], headers).expect(202).headers["Location"])
    joint = "&" if "?" in location else "?"
    wire.request("PUT", f"{location}{joint}digest={blob.digest}", b"").expect(201)


def push_until(
    connect: Callable[[], Wire], ledgers: Sequence[Ledger], acknowledged: int, seed: int, then: Callable[[], object]
) -> None:
    """One client per ledger pushes; as soon as `acknowledged` answers more have come, `then` is called in the midst."""
    before = sum(ledger.answers for ledger in ledgers)
    pushers = [Pusher(connect, ledger, seed * 100 + n) for n, ledger in enumerate(ledgers)]
    for pusher in pushers:
        pusher.start()
    try:
        wait_until(
            lambda: sum(ledger.answers for ledger in ledgers) - before >= acknowledged or any(p.fault for p in pushers),
            60,
            f"{acknowledged} acknowledged writes",
        )
        then()
    finally:
        for pusher in pushers:
            pusher.finish()


def verify(wire: Wire, ledger: Ledger, *, again: bool = True) -> None:
    """Everything that was acknowledged is there, byte for byte, and what tags point at is whole.

    Without `again`, what was read back before is not read back once more.
    """
    name = ledger.image
    seen = set() if again else ledger.seen
    for digest, size in ledger.blobs.items():
        if digest in seen:
            continue
        body = wire.get_blob(name, digest).expect(200).body
        assert len(body) == size
        assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
    for digest, manifest in ledger.manifests.items():
        if digest in seen:
            continue
        assert wire.get_manifest(name, digest).expect(200).body == manifest.data
    for tag, story in ledger.tags.items():
        found = wire.get_manifest(name, tag).expect(*((200,) if story.acknowledged else (200, 404)))
        if found.status == 200:
            assert found.headers["Docker-Content-Digest"] in story.allowed, f"{name}:{tag}"
            verify_whole(wire, name, found.body)
    ledger.seen |= {*ledger.blobs, *ledger.manifests}


def verify_whole(wire: Wire, name: str, manifest: bytes) -> None:
    """Nothing that a manifest names is missing or cut, whether it was acknowledged or not."""
    named = json.loads(manifest)
    for child in named.get("manifests", []):
        verify_whole(wire, name, wire.get_manifest(name, child["digest"]).expect(200).body)
    for descriptor in [*named.get("layers", []), *([named["config"]] if "config" in named else [])]:
        body = wire.get_blob(name, descriptor["digest"]).expect(200).body
        assert "sha256:" + hashlib.sha256(body).hexdigest() == descriptor["digest"]
