"""Public keys in files, and what they say of signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class PublicKey(Protocol):
    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature over the message is good; what is no signature is not."""


class KeyFiles(Struct, frozen=True):
    """What files held: keys, and clauses about those that hold none, such as ``cosign.pub holds a private key``."""

    keys: Sequence[PublicKey]
    faults: Sequence[str]

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Under any of the keys."""
        return any(key.verifies(message, signature) for key in self.keys)


class PublicKeys(Protocol):
    def read(self, paths: Sequence[str]) -> KeyFiles:
        """Reads the files now: a key that was changed holds at once. Waits for the disk; raises nothing."""
