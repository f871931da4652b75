"""Requests without a connection, for what looks at heads only."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import cast

from multidict import CIMultiDict

from pierhead.faces.door.ask import Ask, Body, Pace
from pierhead.faces.door.tap import Tap


@dataclass
class _Line:
    peer: str
    port: object
    local: tuple[str, int] = ("127.0.0.1", 1)
    reading_since: float = 0.0
    pace: Pace = field(default_factory=Pace)
    tls: bool = False

    def gone(self) -> bool:
        return False

    def cut(self) -> None:
        raise AssertionError

    def say_continue(self) -> None:
        raise AssertionError

    def tap(self, left: int) -> Tap:
        raise AssertionError

    def untap(self, tap: Tap) -> None:
        raise AssertionError

    def settle(self) -> None:
        """Nothing is owed."""

    def hasten(self) -> None:
        """Nothing is slow."""


def asked(
    *headers: tuple[str, str],
    target: str = "/v2/",
    query: str = "",
    method: str = "GET",
    peer: str = "192.0.2.1",
    port: object = None,
) -> Ask:
    """A request without a body."""
    return Ask(
        method, target, query, 0, _Line(peer, port), CIMultiDict(headers), cast(Body, None), expects=False, received=0.0
    )


def basic(name: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def login(name: str, password: str, peer: str = "192.0.2.1") -> Ask:
    """A request with credentials."""
    return asked(("Authorization", basic(name, password)), peer=peer)
