"""Digests and descriptors: what content is called by its own bytes (OCI image specification, "Digests")."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from pierhead.domain.refusals import DigestInvalid, DigestUnsupported

_HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}
_ALGORITHM_BY_BYTES: Final = {32: "sha256", 64: "sha512"}
_CANONICAL: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ALGORITHM_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+._-")

ALGORITHMS: Final = tuple(_HEX_LENGTH)


class Hasher(Protocol):
    """What ``hashlib`` gives: fed with bytes, asked for the digest at the end."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def hasher(algorithm: str) -> Hasher:
    """A new hasher for ``sha256`` or ``sha512``. Raises DigestUnsupported for another algorithm."""
    make = _HASHERS.get(algorithm)
    if make is None:
        raise DigestUnsupported(algorithm)
    return make()


_HASHERS: Final[Mapping[str, Callable[[], Hasher]]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


class Digest(str):
    """``algorithm:hex``, canonical; ``str(d)`` is what goes on the wire."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Raises DigestInvalid for a malformed digest, DigestUnsupported unless the algorithm is sha256 or sha512."""
        if _CANONICAL.fullmatch(text) is not None:
            return cls(text)
        algorithm, colon, _ = text.partition(":")
        length = _HEX_LENGTH.get(algorithm)
        if not colon:
            raise DigestInvalid(text, "a digest is written algorithm:hex")
        if length is None:
            if not algorithm or not _ALGORITHM_CHARACTERS.issuperset(algorithm):
                raise DigestInvalid(text, "a digest is written algorithm:hex")
            raise DigestUnsupported(algorithm)
        raise DigestInvalid(text, f"{algorithm} is followed by {length} lower-case hexadecimal digits")

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of ``data``. Raises DigestUnsupported."""
        state = hasher(algorithm)
        state.update(data)
        return cls(f"{algorithm}:{state.hexdigest()}")

    @classmethod
    def from_raw(cls, raw: bytes) -> Digest:
        """From the 32 or 64 bytes that storage keeps; the length tells the algorithm."""
        return cls(f"{_ALGORITHM_BY_BYTES[len(raw)]}:{raw.hex()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self[:6]

    @property
    def hex(self) -> str:
        """The hexadecimal digits behind the colon."""
        return self[7:]

    @property
    def raw(self) -> bytes:
        """32 or 64 bytes, as storage keeps them."""
        return bytes.fromhex(self[7:])


EMPTY_SHA256: Final = Digest.of(b"")


class Descriptor(Struct, frozen=True):
    """A reference to content by digest, with its size in bytes and its media type."""

    digest: Digest
    size: int
    media_type: str
