"""When secrets were last used: noted at most once a minute for each, and waited for by nobody."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx


class LastUses:
    """What a principal signed in with stands in its ``through``: ``id`` of an access token, ``fingerprint`` of a
    password. Others are not noted."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: OrderedDict[tuple[str, object], float] = OrderedDict()

    def note(self, who: Principal, address: str) -> None:
        """Writes without sync: a use that a power failure takes away is missed by nobody."""
        through = who.through
        token, password = through.get("id"), through.get("fingerprint")
        if token is None and password is None:
            return
        key, now = (who.name, token or password), self._clock.monotonic()
        before = self._noted.get(key)
        if before is not None and now < before + limits.LAST_USE_SECONDS:
            return
        self._noted[key] = now
        self._noted.move_to_end(key)
        while len(self._noted) > limits.LAST_USES_REMEMBERED_MAX:
            self._noted.popitem(last=False)
        at = self._clock.now()

        def commit(tx: Tx) -> None:
            if token is not None:
                tx.access_tokens.used(str(token), at, address)
            else:
                tx.uses.note(who.name, "password", str(password), at, address)

        asyncio.ensure_future(self._store.write(commit, durable=False)).add_done_callback(_not_waited_for)


def _not_waited_for(done: asyncio.Future[None]) -> None:
    """A full disk makes last uses old and nothing else."""
    if not done.cancelled():
        failure = done.exception()
        if failure is not None and not isinstance(failure, Unavailable):
            raise failure
