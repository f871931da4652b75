"""What a process serves besides images: REST, metrics and the page on the main port, and the logs of all ports."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from pierhead import __version__
from pierhead.actions.measure_storage import Disk, StorageGauge
from pierhead.boot import logs
from pierhead.boot.settings import Settings
from pierhead.boot.siblings import Siblings
from pierhead.boot.wire import House
from pierhead.faces.door.ask import AnyAnswer, Ask
from pierhead.faces.door.server import Port
from pierhead.faces.ops.access_log import AccessLog
from pierhead.faces.ops.app import METRICS_PATH, Ops
from pierhead.faces.ops.counted import Counted, Reading
from pierhead.faces.ops.sink import Sink

_A_MOMENT_SECONDS: Final = 1.0
"""Whoever waits for the start asks for health first, and should not wait for imports."""

if TYPE_CHECKING:
    from pierhead.boot.for_people import ForPeople


class MainPort:
    """Made over a house, on the event loop that serves it. Tells the faces what they show of the process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ports: Callable[[], Sequence[Port]] = lambda: ()
        self.started = house.parts.clock.now()
        self._sinks = {"access": Sink(1, "access"), "server": Sink(2, "server")}
        storage = StorageGauge(house.store, house.parts.clock, partial(_disk, house), house.parts.sessions.__len__)
        log = AccessLog(self._sinks["access"], house.parts.clock, house.ids, house.settings.log_format)
        self.ops = Ops(house.guard, self, storage, house.ids, log)
        self._storage = storage
        self._for_people: ForPeople | None = None
        self.ops.trusted = house.settings.trusted_proxies
        self._siblings = Siblings(house.settings.data, self.ops.counted) if house.settings.workers > 1 else None
        self._tasks = [asyncio.ensure_future(self.ops.meter.watch_lag())]
        if self._siblings is not None:
            self._tasks.append(asyncio.ensure_future(self._siblings.tell_for_ever()))
        logs.use(house.settings.log_format, self._sinks["server"])

    async def rest(self, ask: Ask) -> AnyAnswer:
        """The REST API."""
        return await self._people().rest(ask)

    async def besides(self, ask: Ask) -> AnyAnswer:
        """What is neither images, REST nor health: metrics, and pages for people."""
        return await (self.ops(ask) if ask.target == METRICS_PATH else self._people().web(ask))

    async def complete(self) -> None:
        """Imports and makes what is for people, a moment after the ports are open; its first request need not then."""
        await asyncio.sleep(_A_MOMENT_SECONDS)
        await asyncio.to_thread(importlib.import_module, "pierhead.boot.for_people")
        self._people()

    def _people(self) -> ForPeople:
        if self._for_people is None:
            from pierhead.boot.for_people import ForPeople

            self._for_people = ForPeople(self._house, self.ops, self._storage, self.started)
        return self._for_people

    def take_leave(self) -> None:
        """Who follows the record is let go."""
        if self._for_people is not None:
            self._for_people.tail.end()

    def show(self, ports: Callable[[], Sequence[Port]]) -> None:
        """Where the open ports are found."""
        self._ports = ports

    def apply(self) -> None:
        """After the house took over another configuration."""
        house = self._house
        settings: Settings = house.settings
        if self._for_people is not None:
            self._for_people.apply()
        self.ops.trusted = settings.trusted_proxies
        self.ops.log.form = settings.log_format
        logs.use(settings.log_format, self._sinks["server"])

    def write_out(self) -> None:
        """Waits, not for long, until what the server's log holds is written."""
        self._sinks["server"].flush()

    async def close(self) -> None:
        """Writes out what was counted and what the logs hold; later lines go to standard error directly."""
        for task in self._tasks:
            task.cancel()
        if self._siblings is not None:
            await self._siblings.tell()
        self.ops.log.flush()
        logs.use(self._house.settings.log_format)
        for sink in self._sinks.values():
            sink.close()

    # --- what metrics ask --------------------------------------------------------------------------------------------

    def read(self) -> Reading:
        """At this moment; costs nothing that waits."""
        ports = self._ports()
        return Reading(
            __version__,
            self._house.why_not_ready() is None,
            sum(port.running for port in ports),
            sum(port.connections for port in ports),
            [proxy.status() for proxy in self._house.proxies.proxies],
            self._house.store.commits,
            {name: sink.dropped for name, sink in self._sinks.items()},
            self._house.recorder.lost,
            self._house.logins.rotating.old_logins,
        )

    def others(self) -> Sequence[Counted]:
        """What the other workers counted."""
        return () if self._siblings is None else self._siblings.others()


def _disk(house: House) -> Disk | None:
    reserve = house.store.reserve
    try:
        found = shutil.disk_usage(house.settings.data)
    except OSError:
        return None
    return Disk(found.total, found.free, reserve.held, reserve.away)
