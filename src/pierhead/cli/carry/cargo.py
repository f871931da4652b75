"""All that belongs to an image: its manifests with what they name, its platforms, what refers to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from pierhead.cli.carry.registry import Body, Registry
from pierhead.cli.client import Fault
from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.manifest import Index, Manifest, parse
from pierhead.domain.names import Tag
from pierhead.domain.refusals import Refusal

_MANIFESTS_MAX: Final = 20_000
_BODIES_BYTES_MAX: Final = 64 * limits.MIB
_COMPANIONS: Final = (".att", ".sbom", ".sig")


@dataclass(frozen=True, slots=True)
class Item:
    """One manifest. ``subject`` is what it refers to, if it does."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    subject: Digest | None


@dataclass(slots=True)
class Cargo:
    """``items`` stand in the order in which a server takes them: children before what lists them, then referrers.

    ``blobs`` are what they name, each once; ``foreign`` are those among them that others hand out. ``tags`` are to be
    set last, those of signatures before the others.
    """

    items: list[Item] = field(default_factory=list)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    foreign: set[Digest] = field(default_factory=set)
    tags: dict[Tag, Digest] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of manifests and blobs."""
        return sum(one.size for one in self.items) + sum(one.size for one in self.blobs.values())

    def item(self, digest: Digest) -> Item | None:
        """The manifest of this digest."""
        return next((one for one in self.items if one.digest == digest), None)


class Source(Protocol):
    """Where an image comes from: a server, or an archive."""

    def manifest(self, digest: Digest, media_type: str) -> Body | None:
        """None if it is not there. Raises Fault for bytes that are not those of the digest."""

    def blob_size(self, digest: Digest) -> int | None:
        """None if it is not there."""

    def pieces(self, digest: Digest, start: int, stop: int) -> Iterator[bytes]:
        """A blob's bytes from ``start`` to before ``stop``, all of them. Raises Fault."""


class Remote:
    """An image of a server as a source; manifests that were read are kept for a while."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self._bodies: dict[Digest, Body] = {}
        self._bytes = 0

    def manifest(self, digest: Digest, media_type: str) -> Body | None:
        """See Source."""
        found = self._bodies.get(digest) or self.registry.manifest(self.name, digest)
        if found is not None and digest not in self._bodies and self._bytes + len(found.data) <= _BODIES_BYTES_MAX:
            self._bodies[digest] = found
            self._bytes += len(found.data)
        return found

    def blob_size(self, digest: Digest) -> int | None:
        """See Source."""
        return self.registry.blob_size(self.name, digest)

    def pieces(self, digest: Digest, start: int, stop: int) -> Iterator[bytes]:
        """See Source."""
        return self.registry.pieces(self.name, digest, start, stop)

    def gather(self, digest: Digest, media_type: str, tag: Tag | None, *, referrers: bool) -> Cargo:
        """The image whole, with all that refers to any part of it, however it was attached. Raises Fault."""
        cargo = Cargo()
        add(cargo, self, [(digest, media_type)])
        at = 0
        while referrers and at < len(cargo.items):
            one = cargo.items[at].digest
            at += 1
            found = [(each, "") for each in self.registry.referrers(self.name, one)]
            for companion in self._companions(one):
                held = self.registry.manifest(self.name, companion)
                if held is not None:
                    cargo.tags[companion] = held.digest
                    found.append((held.digest, held.media_type))
            add(cargo, self, found)
        if tag is not None:
            cargo.tags[tag] = digest
        return cargo

    def _companions(self, digest: Digest) -> list[Tag]:
        """Tags under which cosign keeps what belongs to a digest."""
        stem = f"{digest.algorithm}-{digest.hex}"
        wanted = {f"{stem}{ending}" for ending in _COMPANIONS}
        return [Tag.parse(one) for one in self.registry.tags_after(self.name, stem, 3) if one in wanted]


def add(cargo: Cargo, source: Source, roots: Iterable[tuple[Digest, str]]) -> None:
    """Puts these manifests and all that they list into ``cargo``. Raises Fault for what is missing or no manifest."""
    known = {one.digest for one in cargo.items}

    def visit(digest: Digest, media_type: str, depth: int) -> None:
        if digest in known:
            return
        if depth > limits.INDEX_DEPTH_MAX:
            raise Fault(f"Indexes stand inside each other more than {limits.INDEX_DEPTH_MAX} deep at {digest}.")
        if len(known) >= _MANIFESTS_MAX:
            raise Fault(f"It is made of more than {_MANIFESTS_MAX} manifests, which is more than an image has.")
        known.add(digest)
        body = source.manifest(digest, media_type)
        if body is None:
            raise Fault(f"The manifest {digest} is listed and not there: the image is not whole.")
        parsed = parsed_of(body)
        if isinstance(parsed, Index):
            for child in parsed.children:
                visit(child.digest, child.media_type, depth + 1)
        else:
            _layers(cargo, parsed)
        for one in parsed.required:
            cargo.blobs.setdefault(one.digest, one)
            cargo.foreign.discard(one.digest)
        subject = None if parsed.subject is None else parsed.subject.digest
        cargo.items.append(Item(digest, parsed.media_type, len(body.data), parsed.artifact_type, subject))

    for digest, media_type in roots:
        visit(digest, media_type, 1)


def parsed_of(body: Body) -> Manifest | Index:
    """Raises Fault for bytes that are no manifest."""
    try:
        return parse(body.data, body.media_type or None)
    except Refusal as refusal:
        raise Fault(f"{body.digest} is no manifest that can be carried: {refusal.message}") from None


def _layers(cargo: Cargo, parsed: Manifest) -> None:
    for one in parsed.foreign:
        if one.digest not in cargo.blobs:
            cargo.blobs[one.digest] = one
            cargo.foreign.add(one.digest)


def present(cargo: Cargo, has: Callable[[Digest], bool]) -> None:
    """Leaves out the foreign layers that are not there: others hand them out."""
    for digest in [one for one in cargo.foreign if not has(one)]:
        del cargo.blobs[digest]
        cargo.foreign.discard(digest)
