"""What a finished upload or fill hands to the transaction that makes a row of it. A value; it can move no bytes."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.domain.digest import Digest


@dataclass(frozen=True, slots=True)
class Landed:
    """Bytes that are durable: in the store under ``generation``, or, if small, in ``body`` for the row to carry."""

    digest: Digest
    size: int
    generation: str
    body: bytes | None
