"""The pages of one process, over its house."""

from __future__ import annotations

from pierhead.boot.welcome import guide
from pierhead.boot.wire import House
from pierhead.faces.web.app import Web
from pierhead.faces.web.render import Renderer
from pierhead.faces.web.statics import load_statics
from pierhead.faces.web.visit import Site, Workshop
from pierhead.faces.web.words import plain_host


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
    )
    return Web(site_of(house), shop, statics)


def site_of(house: House) -> Site:
    """What the configuration says now."""
    settings = house.settings
    return Site(
        guide(settings), settings.external_url.rstrip("/"), plain_host(settings.external_url), house.sign_on.provider
    )
