"""Pages for people, on the main port: who asks, which page, and every refusal as a page in the same words."""

from __future__ import annotations

import logging
from traceback import format_tb
from typing import Final

from pierhead.domain.refusals import (
    ForgedRequest,
    MethodUnsupported,
    Refusal,
    RouteUnknown,
    TooManyLogins,
    Unavailable,
)
from pierhead.faces.door.ask import Answer, Ask, Gone
from pierhead.faces.door.ids import HEADER
from pierhead.faces.web.pages import error
from pierhead.faces.web.routes import Route, match
from pierhead.faces.web.statics import PREFIX, Statics
from pierhead.faces.web.visit import Site, Visit, Workshop, query_of

_log = logging.getLogger("pierhead.web")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_NOTHING: Final = "The pages begin at /, the registry's addresses with /v2/, those of the REST API with /api/v1/."


class Web:
    """A handler for the door. ``site`` is replaced with the configuration."""

    def __init__(self, site: Site, shop: Workshop, statics: Statics) -> None:
        self.site = site
        self._shop = shop
        self._statics = statics

    async def __call__(self, ask: Ask) -> Answer:
        """Each refusal becomes its page, and a fault of ours is told by the request's id alone.

        Raises only what the door answers itself, for a body that does not come.
        """
        ask.note["route"] = "web"
        visit = Visit(ask, self.site, self._shop, None)
        try:
            answer = await self._answer(ask, visit)
        except Refusal as refusal:
            ask.note["refused"] = type(refusal).__name__
            answer = self._refused(visit, refusal)
        except Unavailable as failure:
            ask.note["unavailable"] = failure.message
            answer = error.unavailable(visit, failure)
        except Gone:
            raise
        except TimeoutError:
            if ask.stalled():
                raise
            answer = error.unavailable(visit, Unavailable("To count this takes too long now.", retry_after=30))
        except Exception as fault:
            # Kinds and frames only: the text of an exception may quote the client.
            frames = "".join(format_tb(fault.__traceback__))
            _log.error("a page failed: %s: %s\n%s", self._shop.ids.of(ask), type(fault).__name__, frames)
            answer = error.broken(visit)
        return answer

    async def _answer(self, ask: Ask, visit: Visit) -> Answer:
        if ask.target.startswith(PREFIX):
            return self._static(ask)
        route, visit.values = self._route(ask)
        visit.visitor = await self._shop.visitors.of(ask)
        if visit.visitor is not None:
            ask.note["account"] = visit.visitor.who.name
        if route.signed_in and visit.visitor is None:
            if route.method == "GET":
                return visit.redirect(visit.sign_in_address())
            raise ForgedRequest("your session has ended. Sign in first")
        visit.query = query_of(ask)
        if ask.method == "POST":
            await visit.read_form()
        return await route.verb(visit)

    def _route(self, ask: Ask) -> tuple[Route, dict[str, str]]:
        """Raises RouteUnknown, MethodUnsupported."""
        found = match(ask.target)
        if not found:
            raise RouteUnknown(_NOTHING)
        for route, values in found:
            if route.method == ask.method or (route.method == "GET" and ask.method == "HEAD"):
                return route, values
        allowed = [name for route, _ in found for name in (["GET", "HEAD"] if route.method == "GET" else ["POST"])]
        raise MethodUnsupported(ask.method, allowed)

    def _static(self, ask: Ask) -> Answer:
        found = self._statics.answer(ask.target.removeprefix(PREFIX))
        if found is None:
            raise RouteUnknown
        if ask.method not in ("GET", "HEAD"):
            raise MethodUnsupported(ask.method, ("GET", "HEAD"))
        return Answer(found.status, found.headers, found.body)

    def _refused(self, visit: Visit, refusal: Refusal) -> Answer:
        answer = error.refused(visit, refusal)
        if "text/html" not in (visit.ask.get("Accept") or ""):
            answer = Answer(answer.status, (_TEXT,), f"{refusal.message}\n".encode())  # a program asks
        more: list[tuple[str, str]] = [(HEADER, self._shop.ids.of(visit.ask))]
        match refusal:
            case TooManyLogins():
                more.append(("Retry-After", str(refusal.retry_after)))
            case MethodUnsupported():
                more.append(("Allow", ", ".join(refusal.allowed)))
        answer.headers = (*answer.headers, *more)
        return answer
