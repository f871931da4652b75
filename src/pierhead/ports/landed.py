"""What a finished upload or fill hands to the transaction that makes a row of it. A value; it can move no bytes."""

from __future__ import annotations

from msgspec import Struct

from pierhead.domain.digest import Digest


class Landed(Struct, frozen=True):
    """Bytes that are durable: in the store under ``generation``, or, if small, in ``body`` for the row to carry."""

    digest: Digest
    size: int
    generation: str
    body: bytes | None
