"""The pages of one process, over its house."""

from __future__ import annotations

from typing import Final

from pierhead.boot.welcome import guide
from pierhead.boot.wire import House
from pierhead.faces.door.brake import Brake
from pierhead.faces.web.app import Web
from pierhead.faces.web.render import Renderer
from pierhead.faces.web.statics import load_statics
from pierhead.faces.web.visit import Site, Workshop
from pierhead.faces.web.words import plain_host

_CODES_A_MINUTE: Final = 10


def web_of(house: House) -> Web:
    """Reads templates and static files of the package."""
    statics = load_statics()
    parts = house.parts
    shop = Workshop(
        house.store,
        house.guard,
        house.visitors,
        house.logins.desk,
        parts.clock,
        parts.entropy,
        Renderer(statics),
        house.ids,
        Brake(parts.clock, _CODES_A_MINUTE),
    )
    return Web(site_of(house), shop, statics)


def site_of(house: House) -> Site:
    """What the configuration says now."""
    settings = house.settings
    return Site(
        guide(settings), settings.external_url.rstrip("/"), plain_host(settings.external_url), house.sign_on.provider
    )
