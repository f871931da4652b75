"""The keys of one issuer, had when they are first needed, renewed in time, and kept through its outages.

A token that names an unknown key makes the issuer be asked again, at most once a minute however many come: whoever can
send tokens could otherwise send the issuer as many requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from pierhead.adapters.oidc.keys import KeySet, KeysUnreadable, SigningKey, read_keys
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock

_KEPT_SECONDS: Final = 24 * 3600.0
_WAITING_MAX: Final = 128

_log = logging.getLogger(__name__)


class Unreachable(Exception):
    """``args[0]`` says what was asked and what is wrong with it."""


class Pace(Struct, frozen=True):
    """In seconds: ``fresh`` is how long keys are used unasked, ``between`` how long after a question the next one may
    follow, ``first`` the same while there are no keys at all."""

    fresh: float
    between: float = 60.0
    first: float = 5.0


class KeyRing:
    """``fetch`` gives the bytes of a set of keys and raises Unreachable; ``name`` is how sentences call the issuer."""

    def __init__(self, name: str, fetch: Callable[[], Awaitable[bytes]], clock: Clock, pace: Pace) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._pace = pace
        self._keys: KeySet | None = None
        self._had = 0.0
        self._asked: float | None = None
        self._trouble = ""
        self._running: asyncio.Task[None] | None = None
        self._waiting = 0

    async def key(self, key_id: str, algorithm: str) -> SigningKey | None:
        """The issuer's key of this id for this algorithm; None if the issuer says that there is none.

        Raises Unavailable where the issuer would have to be asked and cannot be.
        """
        if self._current() is None or self._clock.monotonic() - self._had >= self._pace.fresh:
            await self._renew()
        keys = self._current()
        if keys is not None and (key_id, algorithm) not in keys:
            await self._renew()
            keys = self._current()
        if keys is None:
            raise self._unavailable()
        found = keys.get((key_id, algorithm))
        if found is None and self._trouble:
            raise self._unavailable()  # it may be new, and who could tell does not answer
        return found

    def seconds_until_asked(self) -> int:
        """When the issuer may be asked again, from now."""
        pause = self._pace.first if self._current() is None else self._pace.between
        since = 0.0 if self._asked is None else self._asked + pause - self._clock.monotonic()
        return max(1, int(since) + 1)

    async def aclose(self) -> None:
        """Gives up a question that is under way."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    def _current(self) -> KeySet | None:
        """None once they are so old that the issuer may long have taken them back."""
        if self._keys is not None and self._clock.monotonic() - self._had >= _KEPT_SECONDS:
            self._keys = None
        return self._keys

    async def _renew(self) -> None:
        """Asks, or waits for who asks already; does nothing if that was not long ago. Raises Unavailable if too many
        wait, so that an issuer that hangs holds up no other login."""
        if self._running is None:
            pause = self._pace.first if self._current() is None else self._pace.between
            now = self._clock.monotonic()
            if self._asked is not None and now - self._asked < pause:
                return
            self._asked = now
            self._running = asyncio.ensure_future(self._ask())
        if self._waiting >= _WAITING_MAX:
            raise Unavailable(f"Too many logins wait for the keys of {self._name}. Try again.", retry_after=5)
        self._waiting += 1
        running = self._running
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            if not running.cancelled():
                raise
            # The ring was closed. Whoever waits is told so, and is not cancelled along.
        finally:
            self._waiting -= 1

    async def _ask(self) -> None:
        """Never raises: what went wrong stands in ``_trouble``, and what was there before stays."""
        try:
            self._keys = read_keys(await self._fetch())
            self._had = self._clock.monotonic()
            if self._trouble:
                _log.info("the keys of %s are had again", self._name)
            self._trouble = ""
        except (Unreachable, KeysUnreadable) as fault:
            why = str(fault) if isinstance(fault, Unreachable) else f"the set of keys {fault}"
            if why != self._trouble:
                kept = "none are there" if self._keys is None else "those from before stay"
                _log.warning("the keys of %s cannot be had, and %s: %s", self._name, kept, why)
            self._trouble = why
        finally:
            self._running = None

    def _unavailable(self) -> Unavailable:
        why = self._trouble or "it was not asked yet"
        return Unavailable(
            f"The id_token cannot be checked, since the keys of {self._name} cannot be had now: {why}. "
            "Try again later; accounts with passwords are not concerned.",
            retry_after=self.seconds_until_asked(),
        )
