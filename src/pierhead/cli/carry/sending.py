"""An image into a server: blobs first, then manifests, children before what lists them, and tags at the very end.

What is there already is not sent; what was half sent is gone on with. Until the first tag is set nothing of it can be
met under a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pierhead.cli.carry.cargo import Cargo, Item, Source
from pierhead.cli.carry.progress import Progress
from pierhead.cli.carry.registry import TRIES_MAX, Broken, Refused, Registry
from pierhead.cli.carry.sessions import Sessions
from pierhead.cli.client import Fault
from pierhead.domain.digest import Descriptor, Digest, hasher
from pierhead.domain.names import Tag

_CHUNK_BYTES: Final = 64 << 20
_REMEMBERED_BYTES_MIN: Final = 1 << 20


@dataclass(slots=True)
class Sent:
    """Counts of blobs, and of bytes."""

    blobs: int = 0
    mounted: int = 0
    there: int = 0
    bytes: int = 0
    resumed_bytes: int = 0


class Sending:
    """Of one image, to ``name`` (REPOSITORY/IMAGE) of one server."""

    def __init__(self, registry: Registry, name: str, source: Source, sessions: Sessions) -> None:
        self._registry = registry
        self._name = name
        self._source = source
        self._sessions = sessions
        self._places: dict[Digest, str] = {}
        self.sent = Sent()

    def missing(self, cargo: Cargo) -> list[Descriptor]:
        """The blobs that the server does not have. Raises Fault if the source does not have one of them, or in another
        size than its manifest says: nothing is sent then."""
        wanted: list[Descriptor] = []
        for one in cargo.blobs.values():
            if self._registry.blob_size(self._name, one.digest) is not None:
                self.sent.there += 1
                continue
            size = self._source.blob_size(one.digest)
            if size is None:
                raise Fault(f"{one.digest} is named by the image and not there: the image is not whole.")
            if size != one.size:
                raise Fault(f"{one.digest} has {size} bytes, and its manifest says {one.size}. Nothing was sent.")
            wanted.append(one)
        return wanted

    def carry(self, cargo: Cargo, title: str) -> None:
        """Raises Fault; Broken where it was the line: the same again goes on from there."""
        missing = self.missing(cargo)
        with Progress(title, cargo.bytes) as progress:
            progress.skip(sum(one.size for one in cargo.blobs.values()) - sum(one.size for one in missing))
            for one in missing:
                self._blob(one, progress)
            for item in cargo.items:
                self._manifest(item, item.digest)
                progress.reach(progress.done + item.size)
        for tag, digest in sorted(cargo.tags.items(), key=lambda one: not one[0].is_fallback):
            tagged = cargo.item(digest)
            assert tagged is not None
            self._manifest(tagged, tag)

    def _manifest(self, item: Item, reference: Digest | Tag) -> None:
        body = self._source.manifest(item.digest, item.media_type)
        if body is None:
            raise Fault(f"The manifest {item.digest} is not there any more.")
        self._registry.put_manifest(self._name, reference, body.data, item.media_type)

    def _blob(self, one: Descriptor, progress: Progress) -> None:
        """However often the line breaks, as long as something comes over in between."""
        base, tries, reached = progress.done, 0, 0
        place, at = self._session(one)
        progress.skip(at)
        self.sent.resumed_bytes += at
        while place is not None:
            try:
                self._rest(one, place, at, progress, base)
                self.sent.blobs += 1
                break
            except Broken:
                tries = 1 if progress.done - base > reached else tries + 1
                reached = max(reached, progress.done - base)
                if tries >= TRIES_MAX:
                    raise
                self._registry.pause(tries)
            if self._registry.blob_size(self._name, one.digest) is not None:
                break  # only the answer was lost
            place, at = self._session(one)
        else:
            self.sent.mounted += 1
        self._places.pop(one.digest, None)
        self._sessions.forget(self._registry.server, self._name, one.digest)
        progress.reach(base + one.size)

    def _session(self, one: Descriptor) -> tuple[str | None, int]:
        """Where the blob's upload goes on, and behind how many bytes; no place if the server has the blob now."""
        server, name, digest = self._registry.server, self._name, one.digest
        place = self._places.get(digest) or self._sessions.find(server, name, digest)
        if place is not None:
            at = self._registry.offset(place)
            if at is not None and at <= one.size:
                self._keep(one, place)
                return place, at
        place = self._registry.begin(name, digest)
        if place is not None:
            self._keep(one, place)
        return place, 0

    def _keep(self, one: Descriptor, place: str) -> None:
        if self._places.get(one.digest) == place:
            return
        self._places[one.digest] = place
        if one.size >= _REMEMBERED_BYTES_MIN:
            self._sessions.keep(self._registry.server, self._name, one.digest, place)

    def _rest(self, one: Descriptor, place: str, at: int, progress: Progress, base: int) -> None:
        """Raises Broken and Fault."""
        try:
            while one.size - at > _CHUNK_BYTES:
                pieces = self._pieces(one, at, at + _CHUNK_BYTES, progress, base)
                place = self._registry.append(place, pieces, at, _CHUNK_BYTES)
                self._keep(one, place)
                at += _CHUNK_BYTES
            pieces = self._pieces(one, at, one.size, progress, base)
            self._registry.finish(place, one.digest, pieces, at, one.size - at)
        except Refused as refused:
            self._places.pop(one.digest, None)
            self._sessions.forget(self._registry.server, self._name, one.digest)
            if refused.code == "DIGEST_INVALID":
                self._blame(one, refused)
            raise

    def _pieces(self, one: Descriptor, start: int, stop: int, progress: Progress, base: int) -> Iterator[bytes]:
        for piece in self._source.pieces(one.digest, start, stop):
            yield piece
            start += len(piece)
            self.sent.bytes += len(piece)
            progress.reach(base + start)

    def _blame(self, one: Descriptor, refused: Refused) -> None:
        """Whether the bytes are wrong where they come from, or were changed on the way. Raises Fault."""
        found = hasher(one.digest.algorithm)
        for piece in self._source.pieces(one.digest, 0, one.size):
            found.update(piece)
        if found.hexdigest() != one.digest.hex:
            raise Fault(
                f"The bytes that are called {one.digest} are others: their digest is "
                f"{one.digest.algorithm}:{found.hexdigest()}. No tag was set."
            ) from refused
