"""Serving: ports, signals, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Final

from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.settings import Address, Settings
from pierhead.boot.wire import House, open_house
from pierhead.domain.names import RepositoryName
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.front import Front
from pierhead.faces.door.server import Port, Room, tls_context
from pierhead.faces.door.server import Settings as DoorSettings
from pierhead.ports.faults import NoFaults

DRAIN_SECONDS: Final = 30.0

log = logging.getLogger("pierhead")


async def serve(load: Callable[[], Settings], ready: Callable[[House], None]) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code. ``load`` reads the configuration, again at SIGHUP."""
    settings = load()
    house = await open_house(settings, os.environ, SystemClock(), SystemEntropy(), NoFaults())
    for warning in house.warnings:
        log.warning(warning)
    front = Front(house.v2, house.why_not_ready, settings.external_url)
    room = Room(settings.limits.connections)
    ports = [_port(settings, address, name, front, room) for address, name in settings.listeners()]
    try:
        for port in ports:
            await port.open()
        ready(house)
        await _until_stopped()
    finally:
        await asyncio.gather(*(port.drain(DRAIN_SECONDS) for port in ports))
        await house.close()
    return 0


def _port(settings: Settings, address: Address, name: RepositoryName | None, front: Front, room: Room) -> Port:
    repository = None if name is None else settings.repositories[name]
    external = settings.external if repository is None else settings.external_of(repository)
    label = Connector(name, str(address), str(external))
    ssl = None if settings.tls is None else tls_context(str(settings.tls.certificate), str(settings.tls.key))
    return Port(
        front,
        label,
        address.host,
        address.port,
        ssl=ssl,
        settings=DoorSettings(max_connections=settings.limits.connections),
        room=room,
    )


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
