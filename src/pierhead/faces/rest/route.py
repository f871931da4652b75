"""What a route is: verb, path, need, and what it is told, as data."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from pierhead.faces.door.ask import Stream
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json

ROOT: Final = "/api/v1"


class Need(enum.Enum):
    """What an account needs for a route; the sentence is for the reference."""

    ACCOUNT = "any account"
    PULL = "leave to pull from the repository"
    PUSH = "leave to push to the repository"
    DELETE = "leave to delete from the repository (`admin`)"
    PROMOTE = "leave to promote to the target, and to pull where it comes from"
    SEE = "any account; it sees promotions of images that it may pull at one end"
    OPERATE = "`operator` or `admin`"
    OWN = "any account, about itself"
    ADMINISTER = "`admin`"
    AUDIT = "`auditor` or `admin`"
    SEEN = "any account; what it may not pull is left out"
    REPORT = "`reporter` or `admin`"
    NOBODY = "nothing: it is how one logs in"


class Parameter(Struct, frozen=True):
    """Of the query, or a key of the body."""

    name: str
    says: str


class Route(Struct, frozen=True):
    """``path`` stands behind ``ROOT``. ``{image}`` takes one part or more, every other name in braces just one. One
    that is ``braked`` is answered to an address a few times a minute only."""

    method: str
    path: str
    need: Need
    verb: Callable[[Call], Awaitable[Json | Stream]]
    says: str
    parameters: tuple[Parameter, ...] = ()
    pages: bool = False
    body: tuple[Parameter, ...] = ()
    status: int = 200
    braked: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What its body may have."""
        return tuple(parameter.name for parameter in self.body)

    @property
    def known(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return tuple(parameter.name for parameter in self.parameters)


LIMIT: Final = Parameter("limit", "how many entries, 1 to 1000; 100 without it")
CURSOR: Final = Parameter("cursor", "`next` of the page before")
PREFIX: Final = Parameter("prefix", "only names that begin with this")
PAGE: Final = (PREFIX, LIMIT, CURSOR)
