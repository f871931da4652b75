"""Credentials of a request become a principal; what was checked once is remembered for a minute by its keyed hash."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import address_of
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Credential, IdentitySource, NotMine, Wrong

_HEADER_CHARACTERS_MAX: Final = 8_192
_FAILURES_MAX: Final = 10
_FAILURE_SECONDS: Final = 60.0
_FAILURE_ENTRIES_MAX: Final = 10_000


class Guard:
    """Asks the identity sources in turn. Slows guessing down per account and address, so nobody locks out another."""

    def __init__(self, sources: Sequence[IdentitySource], clock: Clock, entropy: Entropy) -> None:
        self._sources = sources
        self._clock = clock
        self._key = entropy.token(32)
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._checking: dict[bytes, asyncio.Future[Principal | str]] = {}
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def replace(self, sources: Sequence[IdentitySource]) -> None:
        """New sources; what was remembered of the old ones is forgotten."""
        self._sources = sources
        self._known.clear()
        self._failures.clear()

    async def principal(self, ask: Ask) -> Principal:
        """Raises NotAuthenticated, TooManyLogins."""
        header = ask.get("Authorization")
        if header is None:
            raise NotAuthenticated
        mark = hashlib.blake2b(header.encode("utf-8", "surrogateescape"), key=self._key, digest_size=16).digest()
        known = self._known.get(mark)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        return await self._check(ask, header, mark)

    async def _check(self, ask: Ask, header: str, mark: bytes) -> Principal:
        credential = _credential(header)
        place = (credential.name, address_of(ask))
        self._slow_down(place)
        checking = self._checking.get(mark)
        if checking is None:
            checking = asyncio.ensure_future(self._verify(credential))
            self._checking[mark] = checking
            checking.add_done_callback(lambda _: self._checking.pop(mark, None))
        outcome = await asyncio.shield(checking)
        if isinstance(outcome, str):
            self._note_failure(place)
            raise NotAuthenticated(outcome)
        self._known[mark] = (outcome, self._clock.monotonic() + limits.CREDENTIAL_CACHE_SECONDS)
        self._known.move_to_end(mark)
        while len(self._known) > limits.CREDENTIAL_CACHE_ENTRIES_MAX:
            self._known.popitem(last=False)
        self._failures.pop(place, None)
        return outcome

    async def _verify(self, credential: Credential) -> Principal | str:
        for source in self._sources:
            match await source.verify(credential):
                case Principal() as principal:
                    return principal
                case Wrong(why):
                    return why
                case NotMine():
                    continue
        return "Name or password is wrong."

    def _slow_down(self, place: tuple[str, str]) -> None:
        count, until = self._failures.get(place, (0, 0.0))
        wait = until - self._clock.monotonic()
        if count >= _FAILURES_MAX and wait > 0:
            raise TooManyLogins(int(wait) + 1)

    def _note_failure(self, place: tuple[str, str]) -> None:
        now = self._clock.monotonic()
        count, until = self._failures.get(place, (0, 0.0))
        self._failures[place] = (count + 1 if until > now else 1, now + _FAILURE_SECONDS)
        self._failures.move_to_end(place)
        while len(self._failures) > _FAILURE_ENTRIES_MAX:
            self._failures.popitem(last=False)


def _credential(header: str) -> Credential:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _HEADER_CHARACTERS_MAX:
        raise NotAuthenticated("Log in with a name and a password (Basic authentication).")
    try:
        name, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise NotAuthenticated("The Authorization header is not understood.") from error
    if not colon or "\0" in name or "\0" in password:
        raise NotAuthenticated("The Authorization header is not understood.")
    return Credential(name, password)
