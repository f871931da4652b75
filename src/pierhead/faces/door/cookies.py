"""Cookies: those that come with a request, and those that an answer sets (RFC 6265).

With TLS the name begins with ``__Host-``: browsers take such a cookie only from this very host, over TLS and for the
whole of it, so that no neighbour below the same domain can plant one.
"""

from __future__ import annotations

from pierhead.faces.door.ask import Ask


def cookie_of(ask: Ask, name: str) -> str | None:
    """The value of the first cookie of this name."""
    for header in ask.all("Cookie"):
        for pair in header.split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key == name:
                return value
    return None


def cookie_name(name: str, secure: bool) -> str:
    """How the cookie is called on the wire."""
    return f"__Host-{name}" if secure else name


def set_cookie(name: str, value: str, secure: bool, seconds: int | None = None) -> tuple[str, str]:
    """The header that sets it: not for scripts, not sent along by pages of other sites except when somebody follows a
    link from there. Without ``seconds`` it goes when the browser is closed; with 0 it goes now."""
    parts = [f"{cookie_name(name, secure)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if secure:
        parts.append("Secure")
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    return "Set-Cookie", "; ".join(parts)
