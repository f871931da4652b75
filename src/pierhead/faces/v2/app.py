"""The distribution API on every port: who asks, what for, and which verb answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pierhead.domain.access import Principal
from pierhead.domain.lookup import split_path
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import (
    MethodUnsupported,
    NameInvalid,
    Refusal,
    RepositoryUnknown,
    Unavailable,
    UpstreamLimited,
)
from pierhead.faces.door.ask import Answer, AnyAnswer, Ask
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import HEADER, RequestIds
from pierhead.faces.door.told import Told
from pierhead.faces.v2 import blobs, lists, manifests, uploads
from pierhead.faces.v2.asked import Asked
from pierhead.faces.v2.blobs import Doubt
from pierhead.faces.v2.challenge import Challenger
from pierhead.faces.v2.errors import JSON, VERSION, refused, unavailable
from pierhead.faces.v2.pulls import telling_pulls
from pierhead.faces.v2.route import ALLOWED, Kind, Route, parse
from pierhead.ports.blobs import StoreFailed
from pierhead.repositories.table import Table

Verb = Callable[[Asked], Awaitable[AnyAnswer]]

VERBS: Final[dict[tuple[Kind, str], Verb]] = {
    (Kind.MANIFEST, "GET"): manifests.get,
    (Kind.MANIFEST, "HEAD"): manifests.head,
    (Kind.MANIFEST, "PUT"): manifests.put,
    (Kind.MANIFEST, "DELETE"): manifests.delete,
    (Kind.BLOB, "HEAD"): blobs.head,
    (Kind.BLOB, "DELETE"): blobs.delete,
    (Kind.UPLOADS, "POST"): uploads.begin,
    (Kind.UPLOAD, "GET"): uploads.status,
    (Kind.UPLOAD, "HEAD"): uploads.status,
    (Kind.UPLOAD, "PATCH"): uploads.append,
    (Kind.UPLOAD, "PUT"): uploads.finish,
    (Kind.UPLOAD, "DELETE"): uploads.cancel,
    (Kind.TAGS, "GET"): lists.tags,
    (Kind.TAGS, "HEAD"): lists.tags,
    (Kind.REFERRERS, "GET"): lists.referrers,
    (Kind.REFERRERS, "HEAD"): lists.referrers,
}

_LABELS: Final = {kind: kind.name.lower() for kind in Kind}
"""How metrics call routes."""
_ROUTES_REMEMBERED_MAX: Final = 4_096
_REMEMBERED_CHARACTERS_MAX: Final = 512


class V2:
    """A handler for the door. ``table`` is replaced whole when the configuration changes; ``doubt`` is told of blobs
    whose file turns out to be damaged."""

    def __init__(
        self, table: Table, guard: Guard, ids: RequestIds, challenger: Challenger, told: Told, doubt: Doubt
    ) -> None:
        self.table = table
        self.challenger = challenger
        self._told = told
        self._verbs = self._untold = {**VERBS, (Kind.BLOB, "GET"): blobs.getting(doubt)}
        self._ids = ids
        self.guard = guard
        self._routes: dict[
            tuple[RepositoryName | None, str], tuple[Route, RepositoryName | None, ImageName | None]
        ] = {}

    def replace(self, table: Table, challenger: Challenger) -> None:
        """From now on requests are answered by another table, and refused with other challenges."""
        self.table = table
        self.challenger = challenger
        self._routes.clear()

    def tell_pulls(self, every: int) -> None:
        """From now on one of ``every`` pulls of a manifest is told to the record; 0 is none, and costs nothing."""
        told = {(Kind.MANIFEST, "GET"): telling_pulls(self._told, every)} if every else {}
        self._verbs = {**self._untold, **told}

    async def __call__(self, ask: Ask) -> AnyAnswer:
        """Never raises a refusal: each becomes its answer."""
        who: Principal | None = None
        try:
            who = await self.guard.principal(ask, tokens=True)
            return await self._answer(ask, who)
        except Refusal as found:
            refusal = self.challenger.addressed(ask, found)
            ask.note["refused"] = type(refusal).__name__
            if isinstance(refusal, UpstreamLimited):
                ask.note["unavailable"] = refusal.message  # an outage, to those who look for one in the log
            answer = refused(refusal, ask.method)
            self._told.refused(ask, who, refusal, answer.status)
            by_token = who is not None and who.asked is not None
            answer.headers = [*answer.headers, *self.challenger.headers(ask, refusal, by_token)]
            return self._named(ask, answer)
        except Unavailable as failure:
            ask.note["unavailable"] = failure.message
            return self._named(ask, unavailable(failure))
        except StoreFailed as failure:
            ask.note["unavailable"] = str(failure)
            why = "The disk is full" if failure.full else "The storage cannot be written"
            sentence = f"{why}: pushes are refused, pulls work."
            return self._named(ask, unavailable(Unavailable(sentence, retry_after=30)))

    def _named(self, ask: Ask, answer: Answer) -> Answer:
        """With the request's id, by which the log line is found."""
        ask.note.setdefault("route", "v2")
        answer.headers = [*answer.headers, (HEADER, self._ids.of(ask))]
        return answer

    async def _answer(self, ask: Ask, who: Principal) -> AnyAnswer:
        connector = ask.port
        assert isinstance(connector, Connector)
        note = ask.note
        note["account"] = who.name
        try:
            route, repository, image = self._routed(connector.repository, ask.target)
        except RepositoryUnknown as refusal:
            raise self._astray(ask, who) or refusal from None
        note["route"] = _LABELS[route.kind]
        method = ask.method
        if method not in ALLOWED[route.kind]:
            raise MethodUnsupported(method, ALLOWED[route.kind])
        if image is None or repository is None:
            if route.kind is Kind.PING:
                return Answer(200, (VERSION, JSON), b"{}")
            return await lists.catalog(self.table, connector, ask, who)
        entry = self.table.entry(repository)
        note["repository"] = repository
        note["image"] = image
        asked = Asked(ask, who, self.table, connector, entry, image, route.item, self._ids)
        return await self._verbs[route.kind, method](asked)

    def _astray(self, ask: Ask, who: Principal) -> Refusal | None:
        """What to say to a client that named no repository on the main port, as somebody does who leaves the port out;
        None for what could be no image's name."""
        route = parse(ask.target)
        try:
            image = ImageName.parse(route.name)
        except NameInvalid:
            return None
        pushes = route.kind in (Kind.UPLOADS, Kind.UPLOAD) or ask.method == "PUT"
        hint = self.table.other_port(who, image, route.item if route.kind is Kind.MANIFEST else "", pushes=pushes)
        first = route.name.partition("/")[0]
        return RepositoryUnknown(first, sorted(self.table.entries), hint)

    def _routed(
        self, repository: RepositoryName | None, target: str
    ) -> tuple[Route, RepositoryName | None, ImageName | None]:
        """What a path means on a port; remembered, since parsing is a good part of answering a small request."""
        key = (repository, target)
        found = self._routes.get(key)
        if found is None:
            route = parse(target)
            image: ImageName | None = None
            if route.kind not in (Kind.PING, Kind.CATALOG):
                if repository is None:
                    repository, image = split_path(route.name, self.table.entries)
                else:
                    image = ImageName.parse(route.name)
            found = (route, repository, image)
            if route.kind in (Kind.MANIFEST, Kind.BLOB, Kind.PING) and len(target) <= _REMEMBERED_CHARACTERS_MAX:
                if len(self._routes) >= _ROUTES_REMEMBERED_MAX:
                    self._routes.clear()
                self._routes[key] = found
        return found
