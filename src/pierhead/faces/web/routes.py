"""The pages as data: matching and the tests of every page come from this tuple.

Our own addresses begin with ``/-/``, which no repository, image or tag can.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from pierhead.faces.door.ask import Answer
from pierhead.faces.web.pages import account, device, home, secrets, sign_in, sign_on
from pierhead.faces.web.visit import Visit


class Route(Struct, frozen=True):
    """A name in braces stands for one part. ``signed_in``: without a session the answer is the way to sign in."""

    method: str
    path: str
    verb: Callable[[Visit], Awaitable[Answer]]
    signed_in: bool = True


ROUTES: Final = (
    Route("GET", "/", home.show, signed_in=False),
    Route("GET", "/-/sign-in", sign_in.show, signed_in=False),
    Route("POST", "/-/sign-in", sign_in.submit, signed_in=False),
    Route("GET", "/-/sign-in/single", sign_on.begin, signed_in=False),
    Route("GET", "/-/sign-in/callback", sign_on.finish, signed_in=False),
    Route("POST", "/-/sign-out", sign_in.leave),
    Route("GET", "/-/signed-out", sign_in.left, signed_in=False),
    Route("GET", "/-/login", device.show),
    Route("POST", "/-/login", device.decide),
    Route("GET", "/-/me", account.show),
    Route("POST", "/-/me/theme", account.choose_theme),
    Route("POST", "/-/me/tokens", secrets.make_token),
    Route("POST", "/-/me/tokens/{id}/revoke", secrets.revoke_token),
    Route("POST", "/-/me/password", secrets.change_password),
    Route("POST", "/-/me/sessions/end-all", account.end_all),
    Route("POST", "/-/me/sessions/{session}/end", account.end_one),
)


def match(target: str) -> list[tuple[Route, dict[str, str]]]:
    """The routes of a raw path, one for each method, and what stands for the names in braces."""
    parts = target.split("/")[1:]
    found: list[tuple[Route, dict[str, str]]] = []
    for route in ROUTES:
        pattern = route.path.split("/")[1:]
        if len(pattern) != len(parts):
            continue
        pairs = list(zip(pattern, parts, strict=True))
        if all(wanted == part or (wanted.startswith("{") and part) for wanted, part in pairs):
            found.append((route, {wanted[1:-1]: part for wanted, part in pairs if wanted.startswith("{")}))
    return found
