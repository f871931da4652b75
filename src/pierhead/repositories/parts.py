"""What every repository and verb works with: one frozen value, made at start and handed down."""

from __future__ import annotations

from msgspec import Struct

from pierhead.ports.blobs import BlobStore
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.metadata.store import Store
from pierhead.repositories.sessions import Sessions


class Parts(Struct, frozen=True):
    """``lease`` is in microseconds: how long a blob stays for a client that was told it is here. ``keep_deleted`` too:
    how long what was deleted can be brought back."""

    store: Store
    blobs: BlobStore
    clock: Clock
    entropy: Entropy
    lease: int
    uploads_per_account: int
    blob_bytes_max: int
    sessions: Sessions
    keep_deleted: int = 0
