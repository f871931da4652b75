"""The page at the root of the main port: what this is, the addresses, the commands to try. It needs no login and tells
nothing that a login would have to guard."""

from __future__ import annotations

from msgspec import Struct

from pierhead.faces.door.ask import Answer
from pierhead.faces.web.visit import Visit


class Home(Struct, frozen=True):
    """``addresses`` are (what for, host:port); ``commands`` are lines to copy; ``programs`` are (what, address)."""

    addresses: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    programs: tuple[tuple[str, str], ...]


def home_of(visit: Visit) -> Home:
    """From the configuration alone."""
    guide = visit.site.guide
    programs = (
        ("REST API", f"{guide.url}/api/v1/status"),
        ("Health", f"{guide.url}/health"),
        ("Metrics", f"{guide.url}/metrics"),
    )
    return Home(guide.addresses, guide.commands, programs)


async def show(visit: Visit) -> Answer:
    """For everybody."""
    return visit.page("home", "Pierhead", home_of(visit))
