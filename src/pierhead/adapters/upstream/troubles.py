"""What goes wrong with another registry, in words without addresses, headers or credentials.

aiohttp's exceptions carry whole requests, signed addresses and tokens among them; none of them leaves this folder, not
even as a cause (``raise … from None``).
"""

from __future__ import annotations

import asyncio
import errno
import ssl

import aiohttp

from pierhead.domain.limits import UPSTREAM_TRIES_MAX
from pierhead.domain.refusals import Unavailable

DEFAULT_RETRY_AFTER = 5
FORBIDDEN = "an address that is not public"


class Trouble(Exception):
    """``tail`` ends a sentence that begins with the upstream's name; ``reason`` is the short form for the state.

    ``tries``: how often it is worth asking in all, the first time included.
    """

    def __init__(
        self, tail: str, *, kind: str, reason: str = "", tries: int = 1, retry_after: int = DEFAULT_RETRY_AFTER
    ) -> None:
        super().__init__(tail)
        self.tail = tail
        self.kind = kind
        self.reason = reason or tail
        self.tries = tries
        self.retry_after = retry_after

    def unavailable(self, name: str) -> Unavailable:
        """The same for those outside, as a sentence."""
        return Unavailable(f"{name} {self.tail}.", kind=self.kind, retry_after=self.retry_after)


class ForbiddenAddress(OSError):
    """A connection that was about to be made to where no upstream may lead."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, FORBIDDEN)


def down(reason: str, *, tries: int = UPSTREAM_TRIES_MAX) -> Trouble:
    return Trouble(f"does not answer ({reason})", kind="down", reason=reason, tries=tries)


def slow(seconds: float) -> Trouble:
    reason = f"nothing for {seconds:g} s"
    return Trouble(f"does not answer ({reason})", kind="slow", reason=reason)


def bad(why: str, *, tries: int = 1) -> Trouble:
    """An answer that no registry should give."""
    return Trouble(f"gave an answer that cannot be used: {why}", kind="bad_answer", reason=why, tries=tries)


def cut(why: str = "the connection was cut in the midst of it") -> Trouble:
    return bad(why, tries=UPSTREAM_TRIES_MAX)


def misled(where: str, why: str) -> Trouble:
    """``where`` is what the upstream pointed with: its redirect, its token service."""
    return bad(f"{where} leads to {why}, which is not followed")


def forbidden(where: str) -> Trouble:
    """``where`` is host:port of what it leads to, so that people can allow it; "" for the upstream's own address."""
    if not where:
        return misled("its address", FORBIDDEN)
    why = f"what it points to leads to {FORBIDDEN} ({where}), which is not followed"
    return bad(f"{why}. If it is right, list it under `allow_private`")


def status_trouble(status: int, reason: str | None, retry_after: int | None) -> Trouble:
    """For an answer of the 500s. One with a ``Retry-After`` of more than a second is not asked again here."""
    said = f"{status} {(reason or '')[:40]}".strip()
    said = said if said.isprintable() else str(status)
    tries = {500: 2, 502: UPSTREAM_TRIES_MAX, 503: UPSTREAM_TRIES_MAX, 504: UPSTREAM_TRIES_MAX}.get(status, 1)
    if retry_after is not None and retry_after > 1:
        tries = 1
    return Trouble(
        f"answers {said}",
        kind="down",
        reason=said,
        tries=tries,
        retry_after=retry_after or DEFAULT_RETRY_AFTER,
    )


def trouble_of(fault: BaseException, stall_seconds: float, where: str = "") -> Trouble:  # noqa: PLR0911 - a table, written as ifs
    """What an exception of aiohttp or of the operating system means.

    ``where`` is the host that it happened at, if that is not the upstream's own: people have to know what to open in
    their firewall.
    """
    at = f" at {where}" if where else ""
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return down(f"certificate not accepted{at}: {_certificate_reason(fault.certificate_error)}", tries=1)
    if isinstance(fault, aiohttp.ClientSSLError | ssl.SSLError):
        return down(f"TLS handshake failed{at}", tries=1)
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return down(f"no address for the name {where}" if where else "its name has no address")
    if isinstance(fault, aiohttp.ClientProxyConnectionError):
        return down("the proxy on the way to it does not answer")
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return down(f"the proxy on the way to it answers {fault.status}")
    if isinstance(fault, aiohttp.ConnectionTimeoutError):
        return down(f"connect timeout{at}", tries=1)  # the system has repeated it by itself
    if isinstance(fault, aiohttp.SocketTimeoutError | asyncio.TimeoutError):
        return slow(stall_seconds)
    if isinstance(fault, aiohttp.ClientConnectorError):
        if FORBIDDEN in str(fault.os_error):
            return forbidden(where)
        return down(_system_reason(fault.os_error) + at)
    if isinstance(fault, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return down(f"connection closed without an answer{at}")
    if isinstance(fault, aiohttp.ClientPayloadError):
        return cut()
    if isinstance(fault, aiohttp.ClientResponseError):
        return bad("it is no proper HTTP, or its headers are larger than any registry's")
    return bad(f"it is no proper HTTP ({type(fault).__name__})")


def _certificate_reason(fault: BaseException) -> str:
    message = getattr(fault, "verify_message", "")
    return message if isinstance(message, str) and message else "verification failed"


def _system_reason(fault: OSError) -> str:
    if fault.errno == errno.ECONNREFUSED:
        return "connection refused"
    if fault.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "no route to it"
    if fault.errno == errno.ETIMEDOUT:
        return "connect timeout"
    return "no connection to any of its addresses"
