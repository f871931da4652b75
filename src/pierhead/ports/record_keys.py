"""The keys of an installation with which it signs what it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class PublicHalf(Struct, frozen=True):
    """``id`` is SHA-256 of the key as DER, in hexadecimal digits; ``created`` in microseconds since 1970; ``pem`` what
    others verify with. ``signs`` if it is the one that signs now."""

    id: str
    created: int
    pem: str
    signs: bool


class RecordSigner(Protocol):
    def sign(self, message: bytes) -> tuple[str, bytes]:
        """The id of the key that signs now, and its signature (ECDSA on P-256 with SHA-256, DER).

        Raises OSError where there is no key and none can be made.
        """

    def public(self) -> Sequence[PublicHalf]:
        """Of all keys that ever signed, the newest first. Raises OSError as ``sign`` does."""
