"""Issuers out of settings: each with the keys that were had of it, kept while it is asked in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pierhead.boot.settings import TrustSettings
from pierhead.ports.clock import Clock
from pierhead.ports.identity import Credential, IdentitySource, NotMine

if TYPE_CHECKING:
    from pierhead.adapters.oidc.ring import KeyRing

_Asked = tuple[str, str, str | Path | None, Path | None, int]


class Nobody:
    """Implements ``ports.identity.IdentitySource`` where no issuer is trusted."""

    async def verify(self, credential: Credential) -> NotMine:
        """Every credential is somebody else's."""
        return NotMine()


class TrustedIssuers:
    """Makes the source of id_tokens, and remembers the issuers' keys, so that rereading the file costs no question."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: dict[_Asked, KeyRing] = {}

    async def source(self, trusted: Mapping[str, TrustSettings]) -> IdentitySource:
        """For these issuers; nobody is asked for keys before the first token comes. Forgets all others."""
        before, self._rings = self._rings, {}
        if not trusted and not before:
            return Nobody()
        from pierhead.adapters.oidc.source import IdTokens, Issuer

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
        from pierhead.adapters.oidc.ring import KeyRing, Pace

        # A file is looked into again after a second: that costs next to nothing, and a change should count at once.
        pace = Pace(1.0, 1.0, 1.0) if isinstance(settings.jwks, Path) else Pace(settings.fresh_for_seconds)
        return KeyRing(f"trust.{settings.name}", _fetch(settings), self._clock, pace)


def _fetch(settings: TrustSettings) -> Callable[[], Awaitable[bytes]]:
    from pierhead.adapters.oidc import fetch

    match settings.jwks:
        case Path() as path:
            return fetch.of_file(path)
        case str() as address:
            return fetch.of_address(address, settings.ca)
        case None:
            return fetch.of_issuer(settings.issuer, settings.ca)
