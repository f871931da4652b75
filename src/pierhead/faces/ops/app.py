"""What the main port answers to programs besides images and REST: metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Protocol

from pierhead.actions.measure_storage import Storage, StorageGauge
from pierhead.domain.access import Right
from pierhead.domain.refusals import Denied, NotAuthenticated, Refusal, TooManyLogins, Unavailable
from pierhead.faces.door.ask import Answer, Ask
from pierhead.faces.door.connectors import Network
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import HEADER, RequestIds
from pierhead.faces.ops.access_log import AccessLog
from pierhead.faces.ops.counted import Counted, Reading, counted, total
from pierhead.faces.ops.meter import Meter

if TYPE_CHECKING:
    from pierhead.faces.ops.metrics import Exposition

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
METRICS_PATH: Final = "/metrics"
_FORWARDED: Final = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


class Instruments(Protocol):
    """Where readings come from."""

    def read(self) -> Reading: ...
    def others(self) -> Sequence[Counted]:
        """What the other processes counted that serve the same ports; called in a worker thread."""


class Ops:
    """A handler for the door, and the hook that sees every answer."""

    def __init__(
        self,
        guard: Guard,
        instruments: Instruments,
        storage: StorageGauge,
        ids: RequestIds,
        log: AccessLog,
    ) -> None:
        self.trusted: Sequence[Network] = ()
        """Proxies: what they send on is not from this machine, even if they are."""
        self.meter = Meter()
        self.log = log
        self._guard = guard
        self._instruments = instruments
        self._storage = storage
        self._ids = ids
        self._rendering = asyncio.Lock()

    @cached_property
    def _exposition(self) -> Exposition:
        """Made when metrics are first asked for: most of it is the library."""
        from pierhead.faces.ops.metrics import Exposition

        return Exposition()

    def _render(self, found: Counted, storage: Storage | None, accept: str) -> tuple[bytes, str]:
        return self._exposition.render(found, storage, accept)

    def on_answer(self, ask: Ask, status: int, sent: int, seconds: float) -> None:
        """For ``Port``: once for each request, when its answer is out."""
        self.meter.observe(ask, status, sent, seconds)
        self.log.add(ask, status, sent, seconds)

    def counted(self) -> Counted:
        """By this process, since its start."""
        return counted(self.meter, self._instruments.read())

    async def total(self) -> Counted:
        """By all processes that serve the same ports."""
        return total(self.counted(), await asyncio.to_thread(self._instruments.others))

    async def __call__(self, ask: Ask) -> Answer:
        """Refusals are plain text here."""
        if ask.target != METRICS_PATH:
            return Answer(404, (_TEXT,), b"There is nothing at this address.\n")
        ask.note["route"] = "metrics"
        if ask.method not in ("GET", "HEAD"):
            return Answer(405, (_TEXT, ("Allow", "GET, HEAD")), b"Only GET and HEAD are answered at this address.\n")
        return await self._metrics(ask)

    async def _metrics(self, ask: Ask) -> Answer:
        """Open to programs on this machine, so that a local Prometheus needs no account; others need `operator`."""
        if not self._is_local(ask):
            try:
                who = await self._guard.principal(ask)
                ask.note["account"] = who.name
                if not who.holds(Right.OPERATE):
                    raise Denied(who.name, "read", "metrics", "That needs the role `operator` or `admin`.")
            except Refusal as refusal:
                ask.note["refused"] = type(refusal).__name__
                return self._refused(ask, refusal)
            except Unavailable as failure:
                ask.note["unavailable"] = failure.message
                headers = (_TEXT, ("Retry-After", str(failure.retry_after)), (HEADER, self._ids.of(ask)))
                return Answer(503, headers, f"{failure.message}\n".encode())
        try:
            storage = await self._storage.read()
        except (TimeoutError, Unavailable):
            storage = None
        async with self._rendering:
            found = await self.total()
            self.meter.lag = 0.0
            accept = ask.get("Accept") or ""
            body, content_type = await asyncio.to_thread(self._render, found, storage, accept)
        return Answer(200, (("Content-Type", content_type), ("Cache-Control", "no-store")), body)

    def _refused(self, ask: Ask, refusal: Refusal) -> Answer:
        headers = [_TEXT, (HEADER, self._ids.of(ask))]
        status = 403
        match refusal:
            case NotAuthenticated():
                status = 401
                headers.append(("WWW-Authenticate", 'Basic realm="Pierhead"'))
            case TooManyLogins():
                status = 429
                headers.append(("Retry-After", str(refusal.retry_after)))
        return Answer(status, headers, f"{refusal.message}\n".encode())

    def _is_local(self, ask: Ask) -> bool:
        """Whether the request comes from this machine and was not forwarded from another one."""
        if any(ask.get(name) for name in _FORWARDED):
            return False
        try:
            peer = ip_address(ask.peer)
        except ValueError:
            return False
        return peer.is_loopback and not any(peer.version == one.version and peer in one for one in self.trusted)
