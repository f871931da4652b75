"""The first look at a path: the distribution API, health, or something for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, Handler
from pierhead.faces.door.connectors import Connector, Trust
from pierhead.faces.door.realm import PATH as TOKEN_PATH

HEALTH_PATHS: Final = frozenset({"/health", "/livez", "/readyz"})
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class Front:
    """A handler for the door that hands on by path. ``why_not_ready`` tells what is wrong, None if nothing is."""

    def __init__(
        self,
        registry: Handler,
        why_not_ready: Callable[[], str | None],
        external_url: str,
        trust: Trust,
        rest: Handler | None = None,
        others: Handler | None = None,
        token: Handler | None = None,
    ) -> None:
        """``rest`` answers below /api on the main port, ``others`` everything else that is for people or programs;
        ``token`` gives tokens, on every port."""
        self._token = token
        self._registry = registry
        self._rest = rest
        self._others = others
        self._why_not_ready = why_not_ready
        self.external_url = external_url
        self.trust = trust

    async def __call__(self, ask: Ask) -> AnyAnswer:
        """Whatever is neither the API nor health lives on the main port, where a pasted image name opens its page."""
        target = ask.target
        self.trust.note_address(ask)
        if target.startswith("/v2"):
            return await self._registry(ask)
        if target == TOKEN_PATH and self._token is not None:
            return await self._token(ask)
        if target in HEALTH_PATHS:
            return self._health(target)
        connector = ask.port
        assert isinstance(connector, Connector)
        if connector.repository is not None and ask.method in ("GET", "HEAD"):
            where = self._elsewhere(ask)
            return Answer(307, (("Location", where), _TEXT), f"See {where}\n".encode())
        handler = self._rest if target.startswith("/api/") or target == "/api" else self._others
        if handler is not None and connector.repository is None:
            return await handler(ask)
        return Answer(404, (_TEXT,), b"There is nothing at this address.\n")

    async def redirect(self, ask: Ask) -> AnyAnswer:
        """The handler of the plain port beside a TLS one: health is answered, everything else is sent there."""
        if ask.target in HEALTH_PATHS:
            return self._health(ask.target)
        where = self._elsewhere(ask)
        return Answer(308, (("Location", where), _TEXT), f"See {where}\n".encode())

    def _elsewhere(self, ask: Ask) -> str:
        return self.external_url.rstrip("/") + ask.target + (f"?{ask.query}" if ask.query else "")

    def _health(self, target: str) -> Answer:
        """``/livez`` says that the process answers, the others that it can do its work."""
        why = None if target == "/livez" else self._why_not_ready()
        if why is None:
            return Answer(200, (_TEXT,), b"ok\n")
        return Answer(503, (_TEXT, ("Retry-After", "10")), f"{why}\n".encode())
