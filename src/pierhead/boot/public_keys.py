"""Public keys for commands, which know no adapters."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.adapters.public_keys import PemKeys
from pierhead.ports.public_keys import KeyFiles


def read_keys(paths: Sequence[str]) -> KeyFiles:
    """What these files hold."""
    return PemKeys().read(paths)
