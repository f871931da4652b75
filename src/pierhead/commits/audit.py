"""The record of what happened: rows that are written in the transaction that they tell of, or soon after it.

A row is never changed and never taken out; its hash covers the row before it. What stands in a body is read by people
who may see nothing else: no secret ever goes in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event, EventId, ImageId

PROGRAM: Final = "pierhead"
"""Who did what no account did: the configuration file, a command on the data folder, the program itself."""

_SETTINGS_NOTE: Final = "audit.settings"
_LATE_MICROSECONDS: Final = 1_000_000


class Happened(Struct, frozen=True):
    """Something that no transaction of its own tells of; ``at`` in microseconds since 1970."""

    at: int
    event: Event


def record(
    tx: Tx,
    kind: str,
    who: str,
    what: Mapping[str, object],
    circumstances: Mapping[str, object],
    image: ImageId | None = None,
) -> EventId:
    """Adds a row: ``who`` is an account's name or ``PROGRAM``; ``what`` and ``circumstances`` (request id, address,
    agent, how the account signed in) hold plain JSON values and share no key."""
    return tx.events.append(image, Event(kind, who, {**what, **circumstances}))


def record_happened(tx: Tx, happened: Sequence[Happened], lost: int) -> None:
    """Adds what was queued, in order, and how many events found no place in the queue before.

    A row's instant is that of its transaction; one that waited for longer than a second says when it took place.
    """
    if lost:
        record(tx, "lost", PROGRAM, {"times": lost}, {})
    for one in happened:
        event = one.event
        if tx.now - one.at > _LATE_MICROSECONDS:
            event = Event(event.kind, event.account, {**event.body, "happened": _instant(one.at)})
        tx.events.append(None, event)


def record_settings(tx: Tx, source: str, digest: str, marks: Mapping[str, str]) -> Sequence[str]:
    """Tells of a configuration that differs from the one that was told of last; returns the keys that do.

    ``marks`` holds for each key at the margin of the file something that changes with its value and gives nothing of it
    away; ``digest`` is the file's own, ``source`` its name.
    """
    found = tx.notes.get(_SETTINGS_NOTE)
    before: dict[str, str] = {} if found is None else json.loads(found)
    changed = sorted(key for key in {*before, *marks} if before.get(key) != marks.get(key))
    if not changed:
        return ()
    tx.notes.put(_SETTINGS_NOTE, json.dumps(dict(marks), sort_keys=True))
    what: dict[str, object] = {"source": source, "digest": digest, "changed": changed, "first": found is None}
    record(tx, "settings", PROGRAM, what, {})
    return changed


def _instant(micros: int) -> str:
    moment = datetime.fromtimestamp(micros / 1_000_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
