"""What a process serves besides images: REST, metrics and the page on the main port, and the logs of all ports."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pierhead import __version__
from pierhead.actions.measure_storage import Disk, StorageGauge
from pierhead.boot import logs
from pierhead.boot.board import plan_of
from pierhead.boot.settings import Settings
from pierhead.boot.siblings import Siblings
from pierhead.boot.web import site_of, web_of
from pierhead.boot.wire import House
from pierhead.domain.board import BoardPlan
from pierhead.faces.door.ask import AnyAnswer, Ask
from pierhead.faces.door.server import Port
from pierhead.faces.ops.access_log import AccessLog
from pierhead.faces.ops.app import METRICS_PATH, Ops
from pierhead.faces.ops.counted import Counted, Reading
from pierhead.faces.ops.sink import Sink
from pierhead.faces.rest.app import Rest
from pierhead.faces.rest.call import Listening
from pierhead.jobs.follow_record import Tail
from pierhead.jobs.loop import Idle, Outcome
from pierhead.ports.record_keys import RecordSigner
from pierhead.repositories.facts import FactsShelf
from pierhead.repositories.proxy import ProxyStatus


class MainPort:
    """Made over a house, on the event loop that serves it. Tells the faces what they show of the process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ports: Callable[[], Sequence[Port]] = lambda: ()
        self.version = __version__
        self.started = house.parts.clock.now()
        self._sinks = {"access": Sink(1, "access"), "server": Sink(2, "server")}
        storage = StorageGauge(house.store, house.parts.clock, lambda: _disk(house.settings.data))
        log = AccessLog(self._sinks["access"], house.parts.clock, house.ids, house.settings.log_format)
        self.ops = Ops(house.guard, self, storage, house.ids, log, house.told)
        self.web = web_of(house)
        self.tail = Tail(house.store)
        self.facts = FactsShelf()
        desk, visitors, told = house.logins.desk, house.visitors, house.told
        url = house.settings.external_url
        self.rest = Rest(house.guard, house.parts, self, storage, house.ids, house.table, url, desk, visitors, told)
        self.ops.trusted = house.settings.trusted_proxies
        self._siblings = Siblings(house.settings.data, self.ops.counted) if house.settings.workers > 1 else None
        self._tasks = [asyncio.ensure_future(self.ops.meter.watch_lag())]
        if self._siblings is not None:
            self._tasks.append(asyncio.ensure_future(self._siblings.tell_for_ever()))
        logs.use(house.settings.log_format, self._sinks["server"])

    async def besides(self, ask: Ask) -> AnyAnswer:
        """What is neither images, REST nor health: metrics, and pages for people."""
        return await (self.ops(ask) if ask.target == METRICS_PATH else self.web(ask))

    def show(self, ports: Callable[[], Sequence[Port]]) -> None:
        """Where the open ports are found."""
        self._ports = ports

    def apply(self) -> None:
        """After the house took over another configuration."""
        house = self._house
        settings: Settings = house.settings
        self.rest.replace(house.parts, house.table, settings.external_url)
        self.web.site = site_of(house)
        self.ops.trusted = settings.trusted_proxies
        self.ops.log.form = settings.log_format
        logs.use(settings.log_format, self._sinks["server"])

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

    @property
    def external_url(self) -> str:
        """How people reach the main port."""
        return self._house.settings.external_url

    # --- what REST asks ----------------------------------------------------------------------------------------------

    @property
    def plan(self) -> BoardPlan:
        """What the board shows."""
        return plan_of(self._house.settings)

    @property
    def record_signer(self) -> RecordSigner:
        """With the keys of the data folder."""
        return self._house.record_keys

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences about the configuration."""
        return self._house.warnings

    @property
    def reclaim(self) -> Callable[[], Awaitable[Outcome]]:
        """One step now, beside the loop that makes them by itself."""
        return self._house.background.reclaim or _nothing

    async def proxies(self) -> Sequence[ProxyStatus]:
        """As all workers see them together."""
        return (await self.ops.total()).reading.proxies

    def why_not_ready(self) -> str | None:
        """None if all is well."""
        return self._house.why_not_ready()

    def listening(self) -> Sequence[Listening]:
        """As the configuration has it."""
        settings = self._house.settings
        found: list[Listening] = []
        for address, name in settings.listeners():
            external = settings.external if name is None else settings.external_of(settings.repositories[name])
            found.append(Listening(name, str(address), str(external)))
        return found

    # --- what metrics ask --------------------------------------------------------------------------------------------

    def read(self) -> Reading:
        """At this moment; costs nothing that waits."""
        ports = self._ports()
        return Reading(
            self.version,
            self.why_not_ready() is None,
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


async def _nothing() -> Outcome:
    return Idle()


def _disk(data: Path) -> Disk | None:
    try:
        found = shutil.disk_usage(data)
    except OSError:
        return None
    return Disk(found.total, found.free)
