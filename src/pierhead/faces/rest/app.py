"""The REST API on the main port: who asks, which route, and every refusal as a problem document."""

from __future__ import annotations

import logging
from functools import partial
from traceback import format_tb
from typing import Final

from pierhead.actions.measure_storage import StorageGauge
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Denied, Refusal, Unavailable
from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, Gone, Stream
from pierhead.faces.door.brake import Brake
from pierhead.faces.door.connectors import address_of
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import HEADER, RequestIds
from pierhead.faces.door.told import Told
from pierhead.faces.door.visitors import Visitors
from pierhead.faces.door.wire_json import encode
from pierhead.faces.rest.call import Call, Server, query_of
from pierhead.faces.rest.problems import Place, broken, refused, unavailable
from pierhead.faces.rest.routes import OPEN, find
from pierhead.ports.blobs import StoreFailed
from pierhead.repositories.directory import Desk
from pierhead.repositories.parts import Parts
from pierhead.repositories.table import Table

_NOBODY: Final = Principal("nobody", ())
_A_MINUTE: Final = 20
_log = logging.getLogger("pierhead.rest")


class Rest:
    """A handler for the door."""

    def __init__(
        self,
        guard: Guard,
        parts: Parts,
        server: Server,
        storage: StorageGauge,
        ids: RequestIds,
        table: Table,
        external_url: str,
        desk: Desk,
        visitors: Visitors,
        told: Told,
    ) -> None:
        self._desk = desk
        self._visitors = visitors
        self._brake = Brake(parts.clock, _A_MINUTE)
        self._told = told
        self._table = table
        self._external_url = external_url
        self._guard = guard
        self._parts = parts
        self._server = server
        self._storage = storage
        self._ids = ids

    def replace(self, parts: Parts, table: Table, external_url: str) -> None:
        """From now on requests are answered by these: the configuration has changed."""
        self._parts = parts
        self._table = table
        self._external_url = external_url

    async def __call__(self, ask: Ask) -> AnyAnswer:
        """Each refusal becomes its answer, and a fault of ours is told by the request's id alone. Raises only what the
        door answers itself, for a body that does not come."""
        at = Place(self._external_url.rstrip("/") + ask.target, self._ids.of(ask))
        who: Principal | None = None
        try:
            ask.note["route"] = "rest"
            who = _NOBODY if ask.target in OPEN else await self._who(ask)
            return await self._answer(ask, who)
        except Refusal as refusal:
            ask.note["refused"] = type(refusal).__name__
            answer = refused(refusal, at)
            self._told.refused(ask, who, refusal, answer.status)
            return answer
        except Unavailable as failure:
            ask.note["unavailable"] = failure.message
            return unavailable(failure, at)
        except Gone:
            raise
        except TimeoutError:
            if ask.stalled():
                raise
            return unavailable(Unavailable("To count this takes too long now.", kind="slow", retry_after=30), at)
        except StoreFailed as failure:
            ask.note["unavailable"] = str(failure)
            return unavailable(Unavailable("The storage cannot be written.", retry_after=30), at)
        except Exception as error:
            # Kinds and frames only: the text of an exception may quote the client.
            frames = "".join(format_tb(error.__traceback__))
            _log.error("a request failed: %s: %s\n%s", at.request_id, type(error).__name__, frames)
            return broken(at)

    async def _who(self, ask: Ask) -> Principal:
        """Credentials count before a session. Raises NotAuthenticated, TooManyLogins, ForgedRequest."""
        if ask.get("Authorization") is None and (caller := await self._visitors.caller(ask)) is not None:
            return caller
        return await self._guard.principal(ask)

    async def _answer(self, ask: Ask, who: Principal) -> AnyAnswer:
        ask.note["account"] = who.name
        route, values = find(ask.method, ask.target)
        if route.braked:
            self._brake.take(address_of(ask))
        if route.method != "GET" and ask.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            # A browser sends along what its user once typed, whichever page asks (fetch metadata, W3C).
            raise Denied(who.name, "change anything from", "a page of another site")
        query = query_of(ask, route.known)
        again = partial(self._who, ask)
        call = Call(
            ask,
            who,
            self._table,
            self._parts,
            self._server,
            self._storage,
            values,
            query,
            self._desk,
            route.keys,
            self._ids,
            again,
        )
        found = await route.verb(call)
        if isinstance(found, Stream):
            return found
        headers = (
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            (HEADER, self._ids.of(ask)),
        )
        return Answer(route.status, headers, encode(found))
