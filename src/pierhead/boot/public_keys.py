"""Public keys for commands, which know no adapters."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.adapters.public_keys import PemKeys, keys_in
from pierhead.ports.public_keys import KeyFiles


def read_keys(paths: Sequence[str]) -> KeyFiles:
    """What these files hold."""
    return PemKeys().read(paths)


def keys_of(texts: Sequence[str]) -> KeyFiles:
    """The keys in these PEM texts, which a server told."""
    keys, faults = [], []
    for text in texts:
        try:
            keys += keys_in(text.encode())
        except ValueError as error:
            faults.append(f"what the server told {error}")
    return KeyFiles(keys, faults)
