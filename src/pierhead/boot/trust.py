"""Issuers out of settings: each with the keys that were had of it, kept while it is asked in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from pierhead.adapters.oidc import fetch
from pierhead.adapters.oidc.ring import KeyRing, Pace
from pierhead.adapters.oidc.source import IdTokens, Issuer
from pierhead.boot.settings import TrustSettings
from pierhead.ports.clock import Clock

_Asked = tuple[str, str, str | Path | None, Path | None, int]
# A file is looked into again after a second: that costs next to nothing, and a change should count at once.
_FILE: Final = Pace(1.0, 1.0, 1.0)


class TrustedIssuers:
    """Makes the source of id_tokens, and remembers the issuers' keys, so that rereading the file costs no question."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: dict[_Asked, KeyRing] = {}

    async def source(self, trusted: Mapping[str, TrustSettings]) -> IdTokens:
        """For these issuers; nobody is asked for keys before the first token comes. Forgets all others."""
        before, self._rings = self._rings, {}
        issuers: list[Issuer] = []
        for one in trusted.values():
            asked: _Asked = (one.name, one.issuer, one.jwks, one.ca, one.fresh_for_seconds)
            ring = self._rings[asked] = before.pop(asked) if asked in before else self._ring(one)
            issuers.append(
                Issuer(
                    one.name,
                    f"trust.{one.name}",
                    one.issuer,
                    one.audiences,
                    one.algorithms,
                    one.leeway_seconds,
                    one.rules,
                    ring,
                )
            )
        await asyncio.gather(*(ring.aclose() for ring in before.values()))
        return IdTokens(issuers, self._clock)

    async def close(self) -> None:
        """Gives up questions that are under way."""
        await self.source({})

    def _ring(self, settings: TrustSettings) -> KeyRing:
        pace = _FILE if isinstance(settings.jwks, Path) else Pace(settings.fresh_for_seconds)
        return KeyRing(f"trust.{settings.name}", _fetch(settings), self._clock, pace)


def _fetch(settings: TrustSettings) -> Callable[[], Awaitable[bytes]]:
    match settings.jwks:
        case Path() as path:
            return fetch.of_file(path)
        case str() as address:
            return fetch.of_address(address, settings.ca)
        case None:
            return fetch.of_issuer(settings.issuer, settings.ca)
