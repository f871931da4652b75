"""Where an upstream may lead: what is followed, what is connected to, who may be told a password.

The upstream that the config file names may be anywhere. What it leads to (redirect, token service, next page) may be
that same host and port, or a public address; ``allow_private`` lists exceptions. Names are not judged but the addresses
that they turn out to have, when the socket is made: a name that changes between two looks gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

from yarl import URL

from pierhead.adapters.upstream.troubles import ForbiddenAddress, bad, forbidden, misled
from pierhead.domain.refusals import shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
AddressInfo = tuple[int, int, int, str, tuple[object, ...]]

_LOCATION: Final = re.compile(r"[!-~]{1,8192}")
_PLACE: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")

# Under these anybody can have a name, so a neighbour is a stranger (publicsuffix.org, the entries registries use).
_SHARED_DOMAINS: Final = frozenset(
    {
        "amazonaws.com",
        "azurecr.io",
        "azurewebsites.net",
        "cloudfront.net",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "netlify.app",
        "nip.io",
        "pages.dev",
        "pkg.dev",
        "r2.dev",
        "run.app",
        "sslip.io",
        "vercel.app",
        "workers.dev",
    }
)
_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "gob", "gov", "go", "mil", "ne", "net", "or", "org"})


def origin(url: URL) -> tuple[str, str, int | None]:
    """Scheme, host and port, comparable."""
    return url.scheme.lower(), (url.host or "").lower().rstrip("."), url.port


def followed(current: URL, location: str | None, *, where: str = "its redirect") -> URL:
    """The address that ``location`` means, seen from ``current``. Raises Trouble for what is not followed at all."""
    if not location or _LOCATION.fullmatch(location) is None:
        raise bad(f"{where} has no address that could be followed")
    try:
        target = current.join(URL(location, encoded=True))
        scheme, host, _ = origin(target)
    except ValueError:
        raise bad(f"{where} has no address that could be followed") from None
    if scheme not in ("http", "https"):
        raise misled(where, f"`{scheme[:20]}:`")
    if not host:
        raise bad(f"{where} has no address that could be followed")
    if target.raw_user is not None or target.raw_password is not None:
        raise misled(where, "an address with a user name in it")
    if current.scheme == "https" and scheme == "http":
        raise misled(where, "plain HTTP, away from HTTPS")
    return target.with_fragment(None)


def registrable(host: str) -> str:
    """The domain that somebody registered: ``auth.docker.io`` -> ``docker.io``. An address or shared domain: itself."""
    labels = host.lower().rstrip(".").split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return host
    size = 3 if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    domain = ".".join(labels[-size:])
    return host if domain in _SHARED_DOMAINS or len(labels) < size else domain


def realm_of(home: URL, text: str) -> URL:
    """The token service that a challenge names, if it may be told the credentials. Raises Trouble.

    It has the upstream's host, or the same registrable domain (``registry-1.docker.io``, ``auth.docker.io``), as
    distribution's proxy has it (``registry/proxy/proxyauth.go``).
    """
    realm = followed(home, text, where="its token service")
    _, host, _ = origin(realm)
    _, own, _ = origin(home)
    if host != own and (not registrable(own) or registrable(host) != registrable(own)):
        raise misled("its token service", f"another host ({host[:100]})")
    return realm


class Places:
    """What may be connected to, for one upstream."""

    def __init__(self, home: URL, allow_private: tuple[str, ...], *, any_address: bool) -> None:
        """Raises ValueError for an entry that is neither a network nor host:port."""
        self._home = origin(home)[1:]
        self._any_address = any_address
        self._networks: list[Network] = []
        self._places: set[tuple[str, int | None]] = set()
        for entry in allow_private:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                place = URL(f"http://{entry}") if _PLACE.fullmatch(entry) else URL()
                if not place.host or place.explicit_port is None:
                    raise ValueError(f"`{entry}` is neither a network (10.0.0.0/8) nor a host and port") from None
                self._places.add((place.host.lower(), place.explicit_port))

    def is_home(self, url: URL) -> bool:
        """Whether this is the configured upstream's own host and port."""
        return origin(url)[1:] == self._home

    def unchecked(self, url: URL) -> bool:
        """Whether any address will do: the configured upstream itself, and the places that are listed."""
        place = origin(url)[1:]
        return (self.is_home(url) and self._any_address) or place in self._places

    def check_literal(self, url: URL) -> None:
        """For a request that a proxy makes for us: its name is resolved elsewhere, but an address is judged here.

        Raises Trouble. ``inet_aton`` knows every spelling that a resolver knows: ``0x7f.1``, ``2130706433``.
        """
        host = origin(url)[1]
        if host == "localhost" or host.endswith(".localhost"):
            raise misled("what it points to", "this very machine")
        try:
            address = socket.inet_ntoa(socket.inet_aton(host)) if ":" not in host else host
        except (OSError, UnicodeError):
            return
        if not self.reachable(address):
            raise forbidden(shown(f"{host}:{url.port}"))

    def reachable(self, address: str) -> bool:
        """Whether an IP address may be connected to on the upstream's word."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        inner = _unwrapped(parsed)
        if any(inner in network or parsed in network for network in self._networks):
            return True
        if isinstance(inner, ipaddress.IPv6Address) and inner.is_site_local:
            return False
        return inner.is_global and not inner.is_multicast and not inner.is_reserved

    def checked_socket(self, info: AddressInfo) -> socket.socket:
        """Makes the socket for one resolved address, or raises ForbiddenAddress before a single packet is sent."""
        family, kind, protocol, _, address = info
        if not self.reachable(str(address[0])):
            raise ForbiddenAddress
        return socket.socket(family=family, type=kind, proto=protocol)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it (mapped, compatible, 6to4, Teredo, NAT64), or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _COMPATIBLE or any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
