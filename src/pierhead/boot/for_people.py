"""What a process serves to people and programs that look after it, over its house: the REST API and the pages.

Nobody needs it to push or pull, so ``main_port`` imports this module, and all that it brings, when the ports are open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from pierhead import __version__
from pierhead.actions.measure_storage import StorageGauge
from pierhead.boot.board import plan_of
from pierhead.boot.web import site_of, web_of
from pierhead.boot.wire import House
from pierhead.domain.board import BoardPlan
from pierhead.domain.names import RepositoryName
from pierhead.faces.ops.app import Ops
from pierhead.faces.rest.app import Rest
from pierhead.faces.rest.call import Listening
from pierhead.jobs.expire import Expiry
from pierhead.jobs.follow_record import Tail
from pierhead.jobs.loop import Idle, Outcome
from pierhead.ports.record_keys import RecordSigner
from pierhead.repositories.facts import FactsShelf
from pierhead.repositories.proxy_status import ProxyStatus

_CROWDED: Final = (
    "The disk is full: its reserve is given up for deletions, and everything else is refused until there is room."
)


class ForPeople:
    """Implements ``faces.rest.call.Server``. ``started`` in microseconds since 1970. Made on the serving loop."""

    def __init__(self, house: House, ops: Ops, storage: StorageGauge, started: int) -> None:
        self._house = house
        self._ops = ops
        self.version = __version__
        self.started = started
        self.tail = Tail(house.store)
        self.facts = FactsShelf()
        self.web = web_of(house)
        desk, visitors, told = house.logins.desk, house.visitors, house.told
        url = house.settings.external_url
        self.rest = Rest(house.guard, house.parts, self, storage, house.ids, house.table, url, desk, visitors, told)

    def apply(self) -> None:
        """After the house took over another configuration."""
        house = self._house
        self.rest.replace(house.parts, house.table, house.settings.external_url)
        self.web.site = site_of(house)

    @property
    def external_url(self) -> str:
        """How people reach the main port."""
        return self._house.settings.external_url

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
        """Sentences about the configuration, and about the disk."""
        warnings = self._house.warnings
        return (*warnings, _CROWDED) if self._house.store.reserve.away else warnings

    @property
    def reclaim(self) -> Callable[[], Awaitable[Outcome]]:
        """One step now, beside the loop that makes them by itself."""
        return self._house.background.reclaim or _nothing

    @property
    def expiry(self) -> Expiry:
        """The rules of the configuration in force."""
        return self._house.background.expiry

    async def proxies(self) -> Sequence[ProxyStatus]:
        """As all workers see them together."""
        return (await self._ops.total()).reading.proxies

    def hosts(self) -> Iterable[tuple[str, RepositoryName | None]]:
        """By either address."""
        return [(address, one.repository) for one in self.listening() for address in (one.listen, one.external)]

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


async def _nothing() -> Outcome:
    return Idle()
