"""What tests of accounts speak REST with."""

from __future__ import annotations

import json
from typing import Any

from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer, Wire

API = "/api/v1"
JSON = {"Content-Type": "application/json"}
PASSWORD = "a-password-of-14"


def say(wire: Wire, method: str, path: str, body: object = None) -> Answer:
    """One request with a JSON body, if there is one."""
    content = None if body is None else json.dumps(body).encode()
    return wire.request(method, API + path, content, JSON if body is not None else None)


def tell(
    server: Pierhead, method: str, path: str, body: object = None, *, who: str = "admin", password: str | None = None,
    status: tuple[int, ...] = (200, 201),
) -> Any:  # fmt: skip
    """On a connection of its own; the document of an answer that has to have one of these statuses."""
    with server.wire("main", who, password) as wire:
        return say(wire, method, path, body).expect(*status).json()


def make(server: Pierhead, name: str, *roles: str, **more: object) -> None:
    """An account with PASSWORD."""
    tell(server, "POST", "/accounts", {"name": name, "roles": list(roles), "password": PASSWORD, **more})


def token(server: Pierhead, name: str, called: str = "ci", password: str = PASSWORD, **more: object) -> dict[str, Any]:
    """An access token that the account makes for itself, with its secret."""
    made: dict[str, Any] = tell(
        server, "POST", "/account/tokens", {"name": called, **more}, who=name, password=password
    )
    return made
