"""Tokens as a process has them: the keys, who accepts and who makes them, and the loop that tends the keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pierhead.actions.accept_token import Accepting
from pierhead.actions.issue_token import Issuer
from pierhead.adapters.keys.jwt import JwtTokens
from pierhead.adapters.keys.jwt.keys import Keys
from pierhead.boot.settings import Settings
from pierhead.domain import limits
from pierhead.domain.access import ANONYMOUS, Principal, Right, Rule
from pierhead.jobs.loop import Failed, Idle, Loop, Outcome, Worked
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import Accounts, LiveAccounts
from pierhead.repositories.table import Table

KEYS_FOLDER: Final = "keys"

log = logging.getLogger("pierhead")


class KnownAccounts:
    """Implements ``ports.identity.Accounts``: those of ``accounts``, and nobody in particular where that is allowed."""

    def __init__(self, accounts: Accounts | None, anonymous: str) -> None:
        self._accounts = accounts
        self._nobody = Principal(ANONYMOUS, (Rule(frozenset({Right.PULL})),)) if anonymous == "pull" else None

    def principal(self, name: str) -> Principal | None:
        """See the port."""
        if name == ANONYMOUS:
            return self._nobody
        return None if self._accounts is None else self._accounts.principal(name)

    def made(self, name: str) -> int:
        """See the port."""
        return 0 if self._accounts is None else self._accounts.made(name)

    def revoked(self, access_token: str) -> bool:
        """See the port."""
        return self._accounts is not None and self._accounts.revoked(access_token)


class TokenWorks:
    """Made once for a house; ``apply`` gives it what the configuration says."""

    def __init__(self, data: Path, clock: Clock, entropy: Entropy) -> None:
        """Makes the first key. Raises OSError."""
        self._clock = clock
        self._entropy = entropy
        self.keys = Keys(data / KEYS_FOLDER, clock, entropy)
        self.tokens = JwtTokens(self.keys, clock)
        self._issuer = Issuer(self.tokens, KnownAccounts(None, "none"), Table((), ""), clock, entropy, 0)

    @property
    def service(self) -> str:
        """The name under which tokens are made."""
        return self.tokens.service

    def issuer(self) -> Issuer:
        """What tokens are made of now."""
        return self._issuer

    def apply(self, settings: Settings, people: LiveAccounts, table: Table) -> Accepting:
        """From now on tokens are made for these; returns what reads them."""
        accounts = KnownAccounts(people, settings.anonymous)
        seconds = settings.tokens.lifetime_seconds
        self._issuer = Issuer(self.tokens, accounts, table, self._clock, self._entropy, seconds)
        return Accepting(self.tokens, accounts, table, self._clock, people.fresh)

    def tending(self, changed: Callable[[], None]) -> Loop:
        """The loop that reads the folder of keys, and makes and removes keys when it is time; ``changed`` is called
        when other keys hold than before."""
        return Loop("keys", TendKeys(self.keys, changed), limits.KEY_LOOK_SECONDS)


class TendKeys:
    """One step of the loop."""

    def __init__(self, keys: Keys, changed: Callable[[], None]) -> None:
        self._keys = keys
        self._changed = changed
        self._warned: tuple[str, ...] = ()

    async def __call__(self) -> Outcome:
        """Never raises what the disk does."""
        try:
            # Reading two or three names takes microseconds; making a key waits for the disk.
            changed = self._keys.refresh()
            done = await asyncio.to_thread(self._keys.tend) if self._keys.wants_tending() else []
        except OSError as error:
            return Failed(f"the folder of keys cannot be used: {error.strerror or error}")
        if changed or done:
            self._changed()
        if self._keys.damaged != self._warned:
            self._warned = self._keys.damaged
            for kid in self._warned:
                log.error("keys/%s.json holds no key; tokens that it signed are refused. Restore or remove it.", kid)
        return Worked(", ".join(done)) if done else Idle()
