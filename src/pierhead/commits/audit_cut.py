"""The oldest part of the record is taken out when the configuration says for how long events are kept.

An event says so first, with the number and the hash of the last one that goes (``audit.cut``). It is part of the chain
itself, and so is the anchor of what stays: the first event that is left follows from that hash. Then the rows go, a
bounded number in each transaction; a record in between is as whole as one before or after.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.commits.audit import PROGRAM, record
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import EventId

CUT: Final = "audit.cut"
_NOTE: Final = "audit.cut"


class Cutting(Struct, frozen=True):
    """``removed`` events went in this transaction, and there are ``more`` to go."""

    removed: int
    more: bool


def cut_record(tx: Tx, before: int, least: int, most: int) -> Cutting:
    """Goes on with a cut that was begun, or begins one if at least the oldest event is from before ``least``: then
    everything from before ``before`` goes. Both in microseconds since 1970; ``most`` rows in one transaction."""
    upto = EventId(int(tx.notes.get(_NOTE) or 0))
    oldest = tx.events.oldest()
    if oldest is None:
        return Cutting(0, more=False)
    seq, at = oldest
    if seq > upto:
        last = tx.events.last_before(before) if at < least else None
        if last is None:
            return Cutting(0, more=False)
        upto, found = last
        told: dict[str, object] = {"upto": upto, "hash": found.hex(), "events": upto - seq + 1, "from": seq}
        tx.notes.put(_NOTE, str(upto))
        record(tx, CUT, PROGRAM, told, {})
    removed = tx.events.forget(upto, most)
    return Cutting(removed, more=removed == most)
