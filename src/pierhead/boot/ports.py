"""The ports that are open, brought in line with the settings at start and whenever the file is read again."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from pierhead.boot.settings import Address, Settings, TlsSettings
from pierhead.domain.names import RepositoryName
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.front import Front
from pierhead.faces.door.server import Port, Room, tls_context
from pierhead.faces.door.server import Settings as DoorSettings

ORPHAN_DRAIN_SECONDS: Final = 5.0
_WAYS_OUT: Final = {
    errno.EADDRINUSE: "Stop what listens there, or change `listen` to another port.",
    errno.EADDRNOTAVAIL: "Change `listen` to an address that this machine has; 0.0.0.0 stands for all of them.",
    errno.EACCES: "Ports below 1024 want the capability CAP_NET_BIND_SERVICE; or change `listen` to one above.",
}

log = logging.getLogger("pierhead")


class Listener(Struct, frozen=True):
    """What makes a port another port: a change of any of these closes it and opens it anew."""

    address: Address
    tls: bool
    redirects: bool


class Ports:
    """Opens and closes. ``sockets`` are bound already, by a parent process; without one, ports bind for themselves."""

    def __init__(self, front: Front, sockets: Mapping[str, socket.socket], pages: Mapping[str, Any]) -> None:
        """``pages``: further arguments for the main port (see ``Port``)."""
        self._front = front
        self._sockets = sockets
        self._pages = pages
        self._open: dict[Listener, tuple[Port, Connector]] = {}
        self._draining: set[asyncio.Task[int]] = set()
        self._context: ssl.SSLContext | None = None
        self._room: Room | None = None

    @property
    def open(self) -> list[Port]:
        """Ports that take requests."""
        return [port for port, _ in self._open.values()]

    async def apply(self, settings: Settings) -> list[str]:
        """Opens and closes what has to be; returns a sentence for each port that could not be opened, and for a
        certificate that could not be used: then the one before goes on."""
        faults = self._renew_certificate(settings.tls)
        if faults and self._context is None:
            return faults
        if self._room is None:
            self._room = Room(settings.limits.connections)
        self._room.places = settings.limits.connections
        wanted = _wanted(settings)
        for listener in [listener for listener in self._open if listener not in wanted]:
            port, _ = self._open.pop(listener)
            self._drain(port, settings.limits.drain_seconds)
        await asyncio.sleep(0)  # lets the drains begin: they stop listening first
        for listener, name in wanted.items():
            connector = _connector(settings, listener, name)
            if listener in self._open:
                _, standing = self._open[listener]
                standing.repository, standing.external = connector.repository, connector.external
                continue
            port = self._port(settings, listener, connector)
            try:
                await port.open()
            except OSError as error:
                faults.append(cannot_listen(listener.address, error))
                continue
            self._open[listener] = (port, connector)
        return faults

    async def close(self, seconds: float) -> None:
        """Refuses new requests, answers those that run, and returns when all is out, or cut after ``seconds``."""
        for port, _ in self._open.values():
            self._drain(port, seconds)
        self._open.clear()
        await asyncio.sleep(0)  # lets the drains begin: they stop listening first
        # Otherwise the system would go on to take connections that nobody answers.
        for sock in self._sockets.values():
            sock.close()
        if self._draining:
            await asyncio.wait(self._draining)

    def _drain(self, port: Port, seconds: float) -> None:
        task = asyncio.ensure_future(port.drain(seconds))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    def _renew_certificate(self, tls: TlsSettings | None) -> list[str]:
        if tls is None:
            self._context = None
            return []
        try:
            # A context of its own first: loading files that do not fit together would spoil the one that serves.
            fresh = tls_context(str(tls.certificate), str(tls.key))
            if self._context is None:
                self._context = fresh
            else:
                self._context.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ValueError) as error:
            return [f"{tls.certificate} and its key cannot be used ({type(error).__name__})."]
        return []

    def _port(self, settings: Settings, listener: Listener, connector: Connector) -> Port:
        address = listener.address
        sock = self._sockets.get(str(address))
        main = connector.repository is None and not listener.redirects
        return Port(
            self._front.redirect if listener.redirects else self._front,
            connector,
            address.host,
            address.port,
            sock=None if sock is None else sock.dup(),
            ssl=self._context if listener.tls else None,
            settings=DoorSettings(max_connections=settings.limits.connections),
            room=self._room,
            logger=log,
            **(self._pages if main else {key: value for key, value in self._pages.items() if key == "on_answer"}),
        )


def cannot_listen(address: Address, error: OSError) -> str:
    """The sentence for a port that could not be opened, and what to do."""
    refused = f"{address} cannot be listened on: {error.strerror or error}."
    way_out = _WAYS_OUT.get(error.errno or 0)
    return refused if way_out is None else f"{refused} {way_out}"


def _wanted(settings: Settings) -> dict[Listener, RepositoryName | None]:
    secure = settings.tls is not None
    wanted: dict[Listener, RepositoryName | None] = {
        Listener(address, secure, redirects=False): name for address, name in settings.listeners()
    }
    if settings.redirect_from is not None:
        wanted[Listener(settings.redirect_from, tls=False, redirects=True)] = None
    return wanted


def _connector(settings: Settings, listener: Listener, name: RepositoryName | None) -> Connector:
    external = settings.external if name is None else settings.external_of(settings.repositories[name])
    return Connector(name, str(listener.address), str(external))
