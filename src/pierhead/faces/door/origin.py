"""Whether a browser sends a request on behalf of a page of this server, and where it may be sent afterwards."""

from __future__ import annotations

from urllib.parse import urlsplit

from pierhead.domain import limits
from pierhead.domain.refusals import ForgedRequest, QueryInvalid
from pierhead.faces.door.ask import Ask


def require_same_origin(ask: Ask, external_url: str) -> None:
    """Raises ForgedRequest if the browser says that another site makes it ask (fetch metadata, W3C; Origin, RFC 6454).

    Browsers send at least one of the two with everything that changes something; what sends neither is a program, which
    no page can make ask.
    """
    site = ask.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise ForgedRequest("the request comes from a page of another site")
    origin = ask.get("Origin")
    if origin is None:
        return
    own = {external_url.rstrip("/").lower()}
    host = ask.get("Host")
    if host:
        own |= {f"http://{host.lower()}", f"https://{host.lower()}"}
    if origin.lower() not in own:
        raise ForgedRequest("the request comes from a page of another site")


def own_path(text: str) -> str:
    """``text``, if it is a path of this server, to be sent to after a sign-in. Raises QueryInvalid.

    Browsers take ``//host`` and ``/\\host`` for another host, drop tabs and line breaks, and read ``\\`` as ``/``
    (WHATWG URL), so none of these may stand in it.
    """
    plain = text.isascii() and text.isprintable() and "\\" not in text and " " not in text
    if not plain or not text.startswith("/") or len(text) > limits.OWN_PATH_CHARACTERS_MAX:
        raise QueryInvalid("redirect", "it has to be a path of this server, such as /-/me")
    parts = urlsplit(text)
    if text.startswith("//") or parts.scheme or parts.netloc:
        raise QueryInvalid("redirect", "it has to be a path of this server, such as /-/me")
    return text
