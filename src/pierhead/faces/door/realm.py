"""Where a client gets a token: at the very address that it speaks to.

Some clients refuse a realm whose host and port are not those of the registry (go-containerregistry's
``transport/bearer.go``, for addresses of private networks), so each port names itself.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pierhead.domain.refusals import NotAuthenticated, Refusal
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import Connector, Trust

PATH: Final = "/token"
_PORTS: Final = {"http": "80", "https": "443"}


class Realm:
    """``external_url`` says how people come in where a request does not tell; ``trust`` who may tell of others."""

    def __init__(self, external_url: str, trust: Trust) -> None:
        self._scheme = urlsplit(external_url).scheme
        self._trust = trust

    def of(self, ask: Ask) -> str:
        """The address of the token endpoint, such as ``https://registry.example:8443/token``.

        ``Host`` is repeated only where it is a name that the port knows itself by, so that nobody is sent elsewhere by
        a header that somebody else chose.
        """
        connector = ask.port
        assert isinstance(connector, Connector)
        forwarded = self._trust.trusts(ask)
        host = ask.get("Host") or ""
        if forwarded:
            host = _first(ask, "X-Forwarded-Host") or host
        host = host.lower()
        scheme = self._scheme_of(ask, forwarded)
        if _with_port(host, scheme or self._scheme) == connector.external:
            return f"{scheme or self._scheme}://{host}{PATH}"
        if _is_own(host, connector, ask):
            return f"{scheme or 'http'}://{host}{PATH}"
        scheme = scheme or self._scheme
        return f"{scheme}://{connector.external.removesuffix(f':{_PORTS[scheme]}')}{PATH}"

    def addressed(self, ask: Ask, refusal: Refusal) -> Refusal:
        """A refusal of somebody who has not logged in, with where; every other as it is."""
        if isinstance(refusal, NotAuthenticated) and refusal.nothing_came:
            return NotAuthenticated(here=urlsplit(self.of(ask)).netloc)
        return refusal

    def _scheme_of(self, ask: Ask, forwarded: bool) -> str:
        """Empty where only the configuration knows."""
        if ask.tls:
            return "https"
        told = _first(ask, "X-Forwarded-Proto").lower() if forwarded else ""
        return told if told in _PORTS else ""


def _first(ask: Ask, name: str) -> str:
    return (ask.get(name) or "").partition(",")[0].strip()


def _with_port(host: str, scheme: str) -> str:
    """``host`` with the port that the scheme has of itself, if it names none."""
    last = host.rpartition("]")[2] if host.startswith("[") else host
    return host if ":" in last else f"{host}:{_PORTS[scheme]}"


def _is_own(host: str, connector: Connector, ask: Ask) -> bool:
    """Whether the connection came to this very address, or to what the port was told to listen on."""
    address, port = ask.local
    shown = f"[{address}]" if ":" in address else address
    if host in (connector.listen, f"{shown}:{port}"):
        return True
    return host == f"localhost:{port}" and _is_loopback(address)


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
