"""The routes of the REST API as data: matching, the reference page and the tests of every route come from this tuple.

An image's name contains slashes, so ``/-/`` ends it: no part of a name begins with a hyphen.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from pierhead.domain.refusals import MethodUnsupported, NameInvalid, RouteUnknown
from pierhead.faces.door.ask import Stream
from pierhead.faces.rest import audit, house, images
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json

ROOT: Final = "/api/v1"


class Need(enum.Enum):
    """What an account needs for a route; the sentence is for the reference."""

    ACCOUNT = "any account; operators see more"
    PULL = "leave to pull from the repository"
    DELETE = "leave to delete from the repository (`admin`)"
    OPERATE = "`operator` or `admin`"
    AUDIT = "`auditor` or `admin`"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query."""

    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` stands behind ``ROOT``. ``{image}`` takes one part or more, every other name in braces just one."""

    method: str
    path: str
    need: Need
    verb: Callable[[Call], Awaitable[Json | Stream]]
    says: str
    parameters: tuple[Parameter, ...] = ()
    pages: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return tuple(parameter.name for parameter in self.parameters)


_LIMIT: Final = Parameter("limit", "how many entries, 1 to 1000; 100 without it")
_CURSOR: Final = Parameter("cursor", "`next` of the page before")
_PREFIX: Final = Parameter("prefix", "only names that begin with this")
_PAGE: Final = (_PREFIX, _LIMIT, _CURSOR)
_EVENTS: Final = (
    Parameter("account", "only what this account did"),
    Parameter("repository", "only what concerns this repository"),
    Parameter("image", "only what concerns this image"),
    Parameter("kind", "only events of this kind, such as `push` or `login failed`"),
    Parameter("since", "from this instant on: RFC 3339, or a time ago such as `2h`"),
    Parameter("until", "before this instant"),
)
_AFTER: Final = Parameter("after", "only events behind this number; without it and `since`, from now on")
_IMAGES: Final = "/repositories/{repository}/images"
_IMAGE: Final = f"{_IMAGES}/{{image}}/-"

ROUTES: Final = (
    Route("GET", "/status", Need.ACCOUNT, house.status, "Version, readiness, ports; storage, upstreams and warnings."),
    Route("GET", "/repositories", Need.ACCOUNT, house.repositories, "The repositories that the account may read."),
    Route("GET", "/repositories/{repository}", Need.PULL, house.repository, "One repository."),
    Route("GET", _IMAGES, Need.PULL, images.images, "Images that are kept, by name.", _PAGE, pages=True),
    Route("GET", f"{_IMAGE}/tags", Need.PULL, images.tags, "Tags of an image, by name.", _PAGE, pages=True),
    Route("GET", f"{_IMAGE}/tags/{{tag}}", Need.PULL, images.by_tag, "One image, whole."),
    Route("DELETE", f"{_IMAGE}/tags/{{tag}}", Need.DELETE, images.delete_tag, "Deletes the tag; its manifest stays."),
    Route(
        "GET",
        f"{_IMAGE}/tags/{{tag}}/history",
        Need.PULL,
        images.history,
        "What the tag stood for, newest first, also after it was deleted.",
        (_LIMIT,),
    ),
    Route("GET", f"{_IMAGE}/manifests/{{digest}}", Need.PULL, images.by_digest, "One image by its digest, whole."),
    Route(
        "DELETE",
        f"{_IMAGE}/manifests/{{digest}}",
        Need.DELETE,
        images.delete_manifest,
        "Deletes the manifest and the tags that point at it.",
    ),
    Route("GET", "/storage", Need.OPERATE, house.storage, "Counts and sizes, by repository too, and the room left."),
    Route("GET", "/upstreams", Need.OPERATE, house.upstreams, "What proxies keep, and how their upstreams do."),
    Route("GET", "/gc", Need.OPERATE, house.gc_preview, "What nothing refers to, and how much. Changes nothing."),
    Route(
        "GET", "/audit", Need.AUDIT, audit.events, "What happened, newest first.", (*_EVENTS, *_PAGE[1:]), pages=True
    ),
    Route(
        "GET",
        "/audit/stream",
        Need.AUDIT,
        audit.stream,
        "What happens, as JSON lines, without an end; a line of the kind `heartbeat` at least every 15 s.",
        (*_EVENTS, _AFTER),
    ),
    Route("POST", "/gc", Need.OPERATE, house.gc_run, "Runs reclaim now; leases and quarantine hold as ever."),
)

_HINT: Final = f"The addresses of the REST API begin with {ROOT}/, such as {ROOT}/status."


def find(method: str, target: str) -> tuple[Route, dict[str, str]]:
    """The route of a raw path, and what stands for the names in its braces, decoded.

    Raises RouteUnknown, MethodUnsupported, NameInvalid.
    """
    if not target.startswith(ROOT + "/"):
        raise RouteUnknown(_HINT)
    parts = [_decoded(part) for part in target[len(ROOT) + 1 :].split("/")]
    allowed: list[str] = []
    for route in ROUTES:
        values = _match(route.path.split("/")[1:], parts)
        if values is None:
            continue
        if route.method == method or (route.method == "GET" and method == "HEAD"):
            return route, values
        allowed += ["GET", "HEAD"] if route.method == "GET" else [route.method]
    if allowed:
        raise MethodUnsupported(method, allowed)
    raise RouteUnknown(_HINT)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if "{image}" in pattern:
        at = pattern.index("{image}")
        if "-" not in parts[at + 1 :]:
            return None
        end = parts.index("-", at + 1)
        parts = [*parts[:at], "/".join(parts[at:end]), *parts[end:]]
    if len(pattern) != len(parts):
        return None
    values: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            values[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return values


def _decoded(part: str) -> str:
    """An encoded slash counts as one, since clients encode whole names; a zero byte or what is no ASCII is no name."""
    if "%" not in part:
        return part
    try:
        text = unquote_to_bytes(part).decode("ascii")
    except UnicodeDecodeError as error:
        raise NameInvalid(part, "it holds something other than ASCII") from error
    if not text.isprintable():
        raise NameInvalid(text, "it holds a control character")
    return text
