"""What the REST API tells of passwords that are kept elsewhere: where, since when, and who still uses the old one."""

from __future__ import annotations

from pierhead.faces.rest import shapes
from pierhead.faces.rest.shapes import Json
from pierhead.ports.secrets import Told


def kept_elsewhere(found: Told | None) -> Json | None:
    """None for a password that is not kept elsewhere."""
    if found is None:
        return None
    newest = sorted(found.addresses.items(), key=lambda one: -one[1])
    return {
        "source": found.source,
        "problem": found.problem,
        "since": shapes.instant(found.since),
        "old": None
        if found.old is None
        else {
            "fingerprint": found.old,
            "rotated": shapes.instant(found.rotated),
            "until": shapes.instant(found.until),
            "used_from": [{"address": address, "last": shapes.instant(at)} for address, at in newest],
        },
    }


def old_password_used(found: Told | None) -> int | None:
    """When somebody signed in with the old password last; None if nobody did since it was changed."""
    return None if found is None else max(found.addresses.values(), default=None)
