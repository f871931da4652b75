"""Raw paths of the distribution API become values; the right-most route word counts, since names may hold such words.

OCI distribution specification, "Endpoints". Nothing is normalised: what is not exactly a route is none.
"""

from __future__ import annotations

import enum
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from pierhead.domain.refusals import NameInvalid, RouteUnknown


class Kind(enum.Enum):
    """What a path leads to."""

    # Routes are looked up several times for each request, and the hash of an Enum is written in Python.
    __hash__ = object.__hash__

    PING = enum.auto()
    CATALOG = enum.auto()
    MANIFEST = enum.auto()
    BLOB = enum.auto()
    UPLOADS = enum.auto()
    UPLOAD = enum.auto()
    TAGS = enum.auto()
    REFERRERS = enum.auto()


ALLOWED: Final = {
    Kind.PING: ("GET", "HEAD"),
    Kind.CATALOG: ("GET", "HEAD"),
    Kind.MANIFEST: ("GET", "HEAD", "PUT", "DELETE"),
    Kind.BLOB: ("GET", "HEAD", "DELETE"),
    Kind.UPLOADS: ("POST",),
    Kind.UPLOAD: ("GET", "HEAD", "PATCH", "PUT", "DELETE"),
    Kind.TAGS: ("GET", "HEAD"),
    Kind.REFERRERS: ("GET", "HEAD"),
}


class Route(Struct, frozen=True):
    """``name`` is what stands before the route word, not yet parsed; ``item`` what stands behind it."""

    kind: Kind
    name: str = ""
    item: str = ""


_HINT: Final = (
    "Behind an image's name stands /manifests/TAG, /manifests/DIGEST, /blobs/DIGEST, /blobs/uploads/, /tags/list or "
    "/referrers/DIGEST; images are listed at /v2/_catalog."
)
PING: Final = Route(Kind.PING)
CATALOG: Final = Route(Kind.CATALOG)


def parse(target: str) -> Route:
    """``target`` is the raw path. Raises RouteUnknown, and NameInvalid for an encoded slash, dot or zero byte."""
    if target in ("/v2/", "/v2"):
        return PING
    if not target.startswith("/v2/"):
        raise RouteUnknown
    rest = target[4:]
    if "%" in rest:
        rest = _decoded(rest)
    if rest == "_catalog":
        return CATALOG
    head, slash, last = rest.rpartition("/")
    if not slash:
        raise RouteUnknown(_HINT)
    if head.endswith("/manifests"):
        return Route(Kind.MANIFEST, head[:-10], last)
    if head.endswith("/blobs/uploads"):
        return Route(Kind.UPLOAD, head[:-14], last) if last else Route(Kind.UPLOADS, head[:-14])
    if head.endswith("/blobs"):
        return Route(Kind.UPLOADS, head[:-6]) if last == "uploads" else Route(Kind.BLOB, head[:-6], last)
    if last == "list" and head.endswith("/tags"):
        return Route(Kind.TAGS, head[:-5])
    if head.endswith("/referrers"):
        return Route(Kind.REFERRERS, head[:-10], last)
    raise RouteUnknown(_HINT)


def _decoded(rest: str) -> str:
    """Decoded once; what decoding would turn into the path's own structure is refused, not decoded."""
    for part in rest.split("/"):
        raw = unquote_to_bytes(part)
        if b"/" in raw or b"\0" in raw or b"%" in raw or raw in (b".", b".."):
            raise NameInvalid(rest, "an encoded slash, dot, percent sign or zero byte is no part of one")
    try:
        return unquote_to_bytes(rest).decode("ascii")
    except UnicodeDecodeError as error:
        raise NameInvalid(rest, "it holds something other than ASCII") from error
