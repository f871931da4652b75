"""What is known of a password that is changed elsewhere: the current one, the one before, and who still uses that.

Everything is a hash in PHC form. Hashes of one account are made with one salt (``boot/logins.py``), so the same
password has the same hash in every process and after every start. Instants are microseconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.domain.discreet import Discreet
from pierhead.domain.secrets import fingerprint_of

ADDRESSES_MAX: Final = 100


class Known(Discreet, frozen=True):
    """``since`` is when it was first seen here; ``version`` and ``written`` are the source's."""

    hashed: str
    since: int
    version: int = 0
    written: int = 0


class Rotation(Struct, frozen=True):
    """``source`` is the place that it was read from: nothing that one place said holds for another.

    ``rotated`` is when ``current`` took the place of ``previous``; ``addresses`` are those from which ``previous`` was
    used since, and when last. Without ``current`` the source said that there is no password.
    """

    source: str
    current: Known | None = None
    previous: Known | None = None
    rotated: int = 0
    addresses: Mapping[str, int] = field(default_factory=dict)

    def holding(self, grace: int, now: int) -> tuple[Known, ...]:
        """What is taken now, the current one first. ``grace`` in microseconds."""
        if self.current is None:
            return ()
        if self.previous is None or now >= self.rotated + grace:
            return (self.current,)
        return (self.current, self.previous)


def seen(before: Rotation | None, source: str, found: Known) -> Rotation:
    """After ``found`` was read from ``source``. An answer that was overtaken by a newer one changes nothing."""
    if before is None or before.source != source or before.current is None:
        return Rotation(source, found)
    current = before.current
    if found.version < current.version and found.written < current.written:
        return before
    if found.hashed == current.hashed:
        return replace(before, current=replace(current, version=found.version, written=found.written))
    return Rotation(source, found, current, found.since)


def gone(source: str) -> Rotation:
    """After ``source`` said that there is no password: nothing that it gave before holds."""
    return Rotation(source)


def over(state: Rotation, grace: int, now: int) -> Rotation:
    """Without what holds no more."""
    if state.previous is None or now < state.rotated + grace:
        return state
    return replace(state, previous=None, addresses={})


def used_old(state: Rotation, fingerprint: str, address: str, at: int) -> Rotation:
    """After a login with the previous password; of many addresses those are kept that were seen last."""
    if state.previous is None or fingerprint_of(state.previous.hashed) != fingerprint:
        return state
    addresses = {**state.addresses, address: max(at, state.addresses.get(address, 0))}
    newest = sorted(addresses, key=lambda one: -addresses[one])[:ADDRESSES_MAX]
    return replace(state, addresses={one: addresses[one] for one in newest})


# --- as it is kept ---------------------------------------------------------------------------------------------------


def document(state: Rotation) -> str:
    """What ``of_document`` takes."""
    return json.dumps(
        {
            "source": state.source,
            "current": _known_document(state.current),
            "previous": _known_document(state.previous),
            "rotated": state.rotated,
            "addresses": dict(state.addresses),
        }
    )


def of_document(text: str | None) -> Rotation | None:
    """None for a text that is missing or of another making."""
    try:
        found = json.loads(text) if text else None
        if not isinstance(found, dict):
            return None
        return Rotation(
            str(found["source"]),
            _known(found["current"]),
            _known(found["previous"]),
            int(found["rotated"]),
            {str(address): int(at) for address, at in found["addresses"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _known_document(one: Known | None) -> dict[str, object] | None:
    if one is None:
        return None
    return {"hash": one.hashed, "since": one.since, "version": one.version, "written": one.written}


def _known(found: Any) -> Known | None:
    if found is None:
        return None
    return Known(str(found["hash"]), int(found["since"]), int(found["version"]), int(found["written"]))
