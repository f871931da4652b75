"""What a port stands for: one repository, or all of them by path."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from msgspec import Struct

from pierhead.domain.names import RepositoryName
from pierhead.faces.door.ask import Ask

Network = IPv4Network | IPv6Network


class Connector(Struct):
    """The label of a port. ``repository`` is None for the main port, where images are named REPOSITORY/IMAGE.

    ``external`` is host:port as people reach it, for sentences; it may change while the port stays open.
    """

    repository: RepositoryName | None
    listen: str
    external: str


class Trust:
    """Whose ``X-Forwarded-…`` headers are believed."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def note_address(self, ask: Ask) -> None:
        """Leaves the client's own address in the request's note, if a trusted proxy tells it.

        Proxies append, so the right-most address that is no trusted proxy is the client; what stands left of it is the
        client's own claim. Where all of them are trusted, the client is one itself: the left-most.
        """
        if not self.trusts(ask):
            return
        told = [part.strip() for line in ask.all("X-Forwarded-For") for part in line.split(",")]
        for address in reversed(told):
            if "%" in address or not _is_address(address):
                return
            ask.note["address"] = address
            if not self._trusts(address):
                return

    def trusts(self, ask: Ask) -> bool:
        """Whether what the other end says of another client is believed."""
        return bool(self._networks) and self._trusts(ask.peer)

    def _trusts(self, text: str) -> bool:
        if not _is_address(text):
            return False
        address = ip_address(text)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address.version == network.version and address in network for network in self._networks)


def address_of(ask: Ask) -> str:
    """The client's address: the connection's other end, or what a trusted proxy says of it."""
    return str(ask.note["address"]) if ask.noted and "address" in ask.note else ask.peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
