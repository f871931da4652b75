"""A house with people, and the ways through its pages that several tests take."""

from __future__ import annotations

from typing import Any

from tests.peers.browser import Visitor
from tests.peers.pierhead import Config, Pierhead, house

ANNA, BEN = "anna", "ben"
ANNA_PASSWORD, BEN_PASSWORD = "anna-secret-1", "ben-secret-1"
ENVIRONMENT = {"ANNA_PASSWORD": ANNA_PASSWORD, "BEN_PASSWORD": BEN_PASSWORD}


def with_people(**more: Any) -> Config:
    """The example house, with two people beside its accounts."""
    config = house(**more)
    config["accounts"] |= {
        ANNA: {"password_env": "ANNA_PASSWORD", "roles": ["publisher"]},
        BEN: {"password_env": "BEN_PASSWORD", "roles": ["auditor"]},
    }
    return config


def sign_in(visitor: Visitor, server: Pierhead, name: str = ANNA, password: str = ANNA_PASSWORD) -> None:
    """By the form; ends on the own page."""
    page = visitor.page
    page.goto(server.url() + "/-/me")
    page.fill("#name", name)
    page.fill("#password", password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(server.url() + "/-/me")


def signed_in(visitor: Visitor, server: Pierhead) -> bool:
    """Whether the own page opens without a sign-in."""
    visitor.page.goto(server.url() + "/-/me")
    return "/-/sign-in" not in visitor.page.url
