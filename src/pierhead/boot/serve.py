"""One process that serves: signals, rereading, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.config_faults import ConfigFaults
from pierhead.boot.main_port import MainPort
from pierhead.boot.ports import ORPHAN_DRAIN_SECONDS, Ports
from pierhead.boot.settings import Settings, TlsSettings
from pierhead.boot.wire import House, KindChanged, open_house
from pierhead.domain.refusals import Unavailable
from pierhead.faces.door.connectors import Trust
from pierhead.faces.door.front import Front
from pierhead.ports.faults import NoFaults

_CERTIFICATE_LOOK_SECONDS: Final = 5.0

log = logging.getLogger("pierhead")


class CannotListen(Exception):
    """Ports could not be opened at start; each argument is a sentence."""


class Inherited(Struct, frozen=True):
    """What a parent process hands to a worker: bound sockets by address, a pipe that ends when the parent does, one to
    tell that it serves, and the file as the parent read it, whatever has become of it since."""

    sockets: Mapping[str, socket.socket] = field(default_factory=dict)
    parent: int | None = None
    ready: int | None = None
    content: bytes = b""
    data: Path = Path()


class Process:
    """The life of one serving process."""

    def __init__(self, load: Callable[[], Settings], inherited: Inherited) -> None:
        self._load = load
        self._inherited = inherited
        self._stopped = asyncio.Event()
        self._orphan = False
        self._rereading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[House], None]) -> int:
        """Serves until SIGTERM or SIGINT, or until the parent has gone. Returns the exit code.

        Raises ConfigFaults, CannotListen, and what ``open_house`` raises.
        """
        settings = await asyncio.to_thread(self._load)
        house = await open_house(settings, os.environ, SystemClock(), SystemEntropy(), NoFaults())
        main = MainPort(house)
        trust = Trust(settings.trusted_proxies)
        front = Front(house.v2, house.why_not_ready, settings.external_url, trust, main.rest, main.besides, house.token)
        ports = Ports(front, self._inherited.sockets, {"on_answer": main.ops.on_answer})
        main.show(lambda: ports.open)
        try:
            if faults := await ports.apply(settings):
                raise CannotListen(*faults)
            for warning in house.warnings:
                log.warning(warning)
            self._listen_for_signals(house, front, ports, main)
            self._own(self._watch_certificate(house, ports))
            await asyncio.to_thread(main.write_out)  # warnings come before the lines for people, not among them
            await house.background.restart(settings)
            ready(house)
            self._own(main.complete())
            await self._stopped.wait()
        finally:
            main.take_leave()
            longest = ORPHAN_DRAIN_SECONDS if self._orphan else house.settings.limits.drain_seconds
            await ports.close(longest)
            for task in self._tasks:
                task.cancel()
            await main.close()
            await house.close()
        return 0

    def _listen_for_signals(self, house: House, front: Front, ports: Ports, main: MainPort) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        parent = self._inherited.parent
        if parent is None:
            loop.add_signal_handler(signal.SIGHUP, lambda: self._own(self._reread(house, front, ports, main)))
            return
        # It is the parent who rereads; a terminal that hangs up tells every process of the group.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        loop.add_reader(parent, self._orphaned, parent)

    def _orphaned(self, parent: int) -> None:
        """The parent has gone without a word, and whoever starts the next one waits for this process to end."""
        asyncio.get_running_loop().remove_reader(parent)
        if not self._stopped.is_set():
            self._orphan = True
            self._stopped.set()

    def _own(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reread(self, house: House, front: Front, ports: Ports, main: MainPort) -> None:
        """What the file says now holds from now on; a file that cannot be accepted changes nothing."""
        async with self._rereading:
            try:
                settings = _alone(same_folder(await asyncio.to_thread(self._load), house.settings))
                await house.apply(settings, os.environ)
            except ConfigFaults as faults:
                not_taken_over(faults.lines)
                return
            except (KindChanged, Unavailable) as refused:
                not_taken_over([str(refused)])
                return
            await house.background.restart(settings)
            main.apply()
            front.external_url = settings.external_url
            front.trust = Trust(settings.trusted_proxies)
            for sentence in (*house.warnings, *await ports.apply(settings)):
                log.warning(sentence)
            log.info("The configuration was read again.")

    async def _watch_certificate(self, house: House, ports: Ports) -> None:
        """A certificate that was renewed on disk serves from the next handshake on."""
        seen = await asyncio.to_thread(_stamps, house.settings.tls)
        while True:
            await asyncio.sleep(_CERTIFICATE_LOOK_SECONDS)
            now = await asyncio.to_thread(_stamps, house.settings.tls)
            if now == seen:
                continue
            seen = now
            faults = await ports.apply(house.settings)
            for sentence in faults:
                log.error(sentence)
            if not faults:
                log.info("The certificate was read again.")


def same_folder(settings: Settings, running: Settings) -> Settings:
    """``settings`` with the data folder that is in use; a warning says so if the file names another."""
    if settings.data == running.data:
        return settings
    log.warning("`data` is another folder now: it is used from the next start on; until then %s is.", running.data)
    return replace(settings, data=running.data)


def _alone(settings: Settings) -> Settings:
    """``settings`` for a process without a parent, who would have to start others; a warning says so if there should be
    any."""
    if settings.workers == 1:
        return settings
    log.warning("`workers` is %d now: they are used from the next start on; until then one serves.", settings.workers)
    return replace(settings, workers=1)


def not_taken_over(lines: Iterable[str]) -> None:
    """Logs why a file that was read again changes nothing."""
    for line in lines:
        log.error(line)
    log.error("The configuration was not taken over; the one before goes on.")


def _stamps(tls: TlsSettings | None) -> tuple[object, ...]:
    if tls is None:
        return ()
    try:
        return tuple((os.stat(path).st_mtime_ns, os.stat(path).st_ino) for path in (tls.certificate, tls.key))
    except OSError:
        return ()
