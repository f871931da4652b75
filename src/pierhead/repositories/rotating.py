"""The password of one account that is kept elsewhere and changed there: read again, compared, remembered.

What was seen last stands in the database (``domain/rotation.py``): every process finds there what another has noticed,
a start goes on where the last run ended, and a source that is away takes nobody's known password away.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain import limits, rotation
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.domain.rotation import Known, Rotation
from pierhead.domain.secrets import fingerprint_of
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.secrets import SecretAway, SecretGone, SecretSource, SecretText, Told

_SECOND: Final = 1_000_000

log = logging.getLogger("pierhead")


def note_of(account: str) -> str:
    """Under which name the database keeps what is known of an account's password."""
    return f"password.{account}"


class Tools(Struct, frozen=True):
    """``hashed`` makes the hash of an account's password, always the same; it raises SecretGone for a text that can be
    no password. ``key`` is this process's own. ``changed`` is told whose password is not what it was."""

    store: Store
    clock: Clock
    hashed: Callable[[str, str], Awaitable[str]]
    key: bytes
    changed: Callable[[str], None]


class RotatingPassword:
    """Implements ``ports.secrets.RotatedPasswords`` for one account and one place."""

    def __init__(self, account: str, source: SecretSource, grace_seconds: int, tools: Tools) -> None:
        self.account = account
        self.source = source
        self.grace = grace_seconds * _SECOND
        self.state: Rotation | None = None
        """What is known; None before anything is."""
        self.problem: str | None = None
        """Why there is no current password, or why it could not be looked at again; continues a sentence."""
        self._tools = tools
        self._told = ""
        self._mark = b""
        self._stamp: object = None
        self._due = 0.0
        self._asked = float("-inf")
        self._readings = 0
        self._reading: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    # --- what holds --------------------------------------------------------------------------------------------------

    def hashes(self) -> Sequence[str]:
        """The current one first, then the one before while its grace lasts."""
        return [one.hashed for one in self._holding()]

    @property
    def current(self) -> str | None:
        """Its hash."""
        return None if self.state is None or self.state.current is None else self.state.current.hashed

    def signed(self, principal: Principal, hashed: str) -> Principal:
        """``through`` tells the password by its fingerprint, and whether it is the old one."""
        fingerprint = fingerprint_of(hashed)
        through = {**principal.through, "fingerprint": fingerprint}
        if hashed != self.current:
            through["old_password"] = fingerprint
        return replace(principal, through=MappingProxyType(through))

    def _holding(self) -> tuple[Known, ...]:
        return () if self.state is None else self.state.holding(self.grace, self._tools.clock.now())

    # --- looking again -----------------------------------------------------------------------------------------------

    async def look_again(self, tried: Sequence[str]) -> Sequence[str]:
        """Waits seconds at most; how often the source is asked does not grow with how often this is called."""
        if await self._worth_reading():
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.SECRET_LOGIN_WAIT_SECONDS):
                    await self._read_up()
        newer = [one for one in self.hashes() if one not in tried]
        reading = self._reading is not None
        # A stamp says that there is something else to read: nobody knows yet that the password is wrong.
        unsure = reading and self.source.stamp() is not None and not newer
        if unsure or (self.state is None and (reading or self.problem is not None)):
            told = self._told or "it is still being asked for"
            raise Unavailable(f"The password cannot be checked just now: {told}. Try again in a moment.")
        return newer

    async def _read_up(self) -> None:
        """Reads, and again if the secret changed meanwhile: a reading that was on its way may have seen what was there
        before, or a file that somebody was still writing."""
        while True:
            await asyncio.wait({self.read_soon()})
            if self.source.stamp() in (None, self._stamp):
                return

    async def _worth_reading(self) -> bool:
        """Whether the source may say something else than when it was read last."""
        if self._reading is not None:
            return True
        stamp = self.source.stamp()
        if stamp is not None:
            return stamp != self._stamp
        early = self._asked + limits.SECRET_READ_PAUSE_SECONDS - self._tools.clock.monotonic()
        if early <= 0:
            return True
        if self.problem is not None:
            return False  # it has just failed to answer, and would keep who asks for nothing
        readings = self._readings
        await asyncio.sleep(early)
        return self._readings == readings  # else somebody has read meanwhile

    def tick(self) -> None:
        """Begins to read if it is time; ends a grace that is over."""
        now = self._tools.clock.monotonic()
        if now >= self._due or self.source.stamp() != self._stamp:
            self.read_soon()
        state = self.state
        if self._ending is None and state is not None and state.previous is not None and len(self._holding()) < 2:
            self._ending = asyncio.create_task(self._end_grace(state))

    def read_soon(self) -> asyncio.Task[None]:
        """The reading that runs, or a new one."""
        if self._reading is None:
            self._stamp = self.source.stamp()
            self._readings += 1
            self._reading = asyncio.create_task(self._read(), name=f"password of {self.account}")
        return self._reading

    async def aclose(self) -> None:
        """Ends what runs."""
        running = [one for one in (self._reading, self._ending) if one is not None]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _read(self) -> None:
        clock = self._tools.clock
        self._asked = clock.monotonic()
        try:
            await self.take(await self.source.read())
        except SecretGone as none:
            await self.lose(none.why)
        except SecretAway as away:
            self._say(away.why, away.told)
        finally:
            self._asked = clock.monotonic()
            self._due = self._asked + self.source.pause
            self._reading = None

    async def _end_grace(self, state: Rotation) -> None:
        """Nobody needs the hash of a password that is not taken any more."""
        now = self._tools.clock.now()
        try:
            await self._change(lambda kept: rotation.over(kept or state, self.grace, now))
        finally:
            self._ending = None

    async def take(self, found: SecretText) -> None:
        """``found`` was read. Costs a hash only when it is another text than last time."""
        mark = hashlib.blake2b(found.text.encode(), key=self._tools.key, digest_size=32).digest()
        if mark == self._mark and self.current is not None:
            self._say(None)
            return
        try:
            hashed = await self._tools.hashed(self.account, found.text)
        except SecretGone as unfit:
            await self.lose(unfit.why)
            return
        one = Known(hashed, self._tools.clock.now(), found.version, found.written)
        await self._change(lambda before: rotation.seen(before, self.source.place, one))
        self._mark = mark if self.current == hashed else b""
        self._say(None)

    async def lose(self, why: str) -> None:
        """The source says that there is no password: whoever has one of its passwords is refused from now on."""
        self._mark = b""
        await self._change(lambda _: rotation.gone(self.source.place))
        self._say(why)

    def resume(self, known: Rotation | None) -> None:
        """What the database holds of an earlier run, or of another process."""
        if known is not None and known.source == self.source.place:
            self.state = known

    async def _change(self, step: Callable[[Rotation | None], Rotation]) -> None:
        """The database decides what was before; one that cannot be written makes it this process's alone."""
        before = self.state

        def commit(tx: Tx) -> Rotation:
            kept = rotation.of_document(tx.notes.get(note_of(self.account)))
            after = step(kept)
            if after != kept:
                tx.notes.put(note_of(self.account), rotation.document(after))
            return after

        try:
            self.state = await self._tools.store.write(commit)
        except (Unavailable, StoreFailed):
            self.state = step(before)
        rotated = self.state.previous is not None and before is not None and self.state.rotated != before.rotated
        if rotated:
            log.info("The password of account %s was changed in %s.", self.account, self.source.place)
        if self.state != before:
            self._tools.changed(self.account)

    # --- what people are told ----------------------------------------------------------------------------------------

    def _say(self, problem: str | None, told: str = "") -> None:
        """Logs a trouble once when it begins, and once when it is over."""
        before, self.problem, self._told = self.problem, problem, told
        if problem == before:
            return
        if problem is None:
            log.info("The password of account %s can be read again.", self.account)
        elif self.current is None:
            log.warning("Account %s is disabled: %s. It is looked at again.", self.account, problem)
        else:
            log.warning("The password of account %s stays what it was: %s.", self.account, problem)

    def log_old(self, address: str) -> None:
        """So that whoever looks at the log sees where the old password still is."""
        log.warning("Account %s signed in from %s with its old password.", self.account, address)

    async def used(self, fingerprint: str, address: str) -> None:
        """A login with the old password of this fingerprint. Raises Unavailable, StoreFailed."""
        at = self._tools.clock.now()

        def commit(tx: Tx) -> None:
            kept = rotation.of_document(tx.notes.get(note_of(self.account)))
            after = None if kept is None else rotation.used_old(kept, fingerprint, address, at)
            if after is not None and after != kept:
                tx.notes.put(note_of(self.account), rotation.document(after))

        await self._tools.store.write(commit, durable=False)


def told(one: RotatingPassword, kept: Rotation | None, now: int) -> Told:
    """``kept`` is as the database has it. ``now`` in microseconds."""
    known = kept if kept is not None and kept.source == one.source.place else one.state
    since = None if known is None or known.current is None else known.current.since
    holding = () if known is None else known.holding(one.grace, now)
    if known is None or len(holding) < 2:
        return Told(one.source.place, one.problem, since)
    old = fingerprint_of(holding[1].hashed)
    return Told(one.source.place, one.problem, since, old, known.rotated, known.rotated + one.grace, known.addresses)
