"""How pages say times and browsers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_AGES_DAYS_MAX: Final = 60
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def instant(at: int) -> str:
    """``2026-11-21 09:14:02 UTC`` of microseconds since 1970."""
    return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def stamp(at: int) -> str:
    """The same for programs (RFC 3339)."""
    return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def age(at: int, now: int) -> str:
    """``2 h ago``, ``in 3 d``; a date beyond 60 days."""
    seconds = (now - at) // 1_000_000
    size = abs(seconds)
    if size < 60:
        return "just now" if seconds >= 0 else "in a moment"
    if size >= _AGES_DAYS_MAX * 86_400:
        return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%d %b %Y}".lstrip("0")
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if size >= unit:
            said = f"{size // unit} {name}"
            return f"{said} ago" if seconds > 0 else f"in {said}"
    return "just now"


def span(seconds: int) -> str:
    """``12 hours``, ``7 days``."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def browser_of(agent: str) -> str:
    """``Firefox on Linux``; the first word of what is no browser; empty for nothing."""
    name = next((said for mark, said in _BROWSERS if mark in agent), "")
    if not name:
        first = agent.split(maxsplit=1)
        return first[0][:40] if first and first[0].isprintable() else ""
    system = next((said for mark, said in _SYSTEMS if mark in agent), "")
    return f"{name} on {system}" if system else name


def plain_host(url: str) -> str:
    """``registry.example:8081`` of an address."""
    return re.sub(r"^https?://", "", url.rstrip("/"))
