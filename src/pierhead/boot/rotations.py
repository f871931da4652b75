"""Passwords that are kept elsewhere, of all accounts of one process: which there are, and who still uses an old one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pierhead.boot.secret_sources import VaultAtHand, source_of
from pierhead.boot.settings import AccountSettings, Settings
from pierhead.domain import limits, rotation
from pierhead.domain.access import Principal
from pierhead.domain.refusals import Unavailable
from pierhead.domain.rotation import Rotation
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.metadata.store import Tx
from pierhead.ports.secrets import Told
from pierhead.repositories.rotating import RotatingPassword, Tools, note_of, told

ADMIN: Final = "admin"


class RotatingPasswords:
    """Implements ``ports.secrets.Rotations``. ``use`` whenever the configuration was read."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._vault = VaultAtHand(tools.clock)
        self._known: dict[str, tuple[AccountSettings, RotatingPassword]] = {}
        self._noted: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._tasks: set[asyncio.Future[None]] = set()
        self.old_logins = 0

    def __call__(self) -> Iterable[RotatingPassword]:
        """All that there are now."""
        return [one for _, one in self._known.values()]

    def of(self, account: str) -> RotatingPassword | None:
        """None for an account whose password is not kept elsewhere."""
        known = self._known.get(account)
        return None if known is None else known[1]

    async def use(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Those of ``settings``; what is known of them goes on, and files are read now."""
        vault = await self._vault.use(settings, environ)
        before, made = self._known, dict[str, tuple[AccountSettings, RotatingPassword]]()
        for name, account in settings.accounts.items():
            source = source_of(account, settings, vault)
            if source is not None:
                grace = settings.grace_seconds if account.grace_seconds is None else account.grace_seconds
                made[name] = (account, RotatingPassword(name, source, grace, self._tools))
        await asyncio.gather(*(one.aclose() for _, one in before.values()))
        kept = await self._tools.store.write(lambda tx: _notes(tx, made, settings), durable=False, vital=True)
        for name, (_, one) in made.items():
            old = before.get(name)
            one.resume(kept[name] or (None if old is None else old[1].state))
        self._known = made
        files = [one.read_soon() for account, one in made.values() if account.password_file is not None]
        if files:
            await asyncio.wait(files, timeout=5)

    async def close(self) -> None:
        """Ends what runs."""
        await asyncio.gather(*(one.aclose() for _, one in self._known.values()))
        await self._vault.close()

    # --- last uses ---------------------------------------------------------------------------------------------------

    def used(self, who: Principal, address: str) -> None:
        """Told of every login that was checked: notes an old password at most once a minute for each address."""
        hashed = who.through.get("old_password")
        one = self.of(who.name)
        if one is None or not isinstance(hashed, str):
            return
        self.old_logins += 1
        key, now = (who.name, hashed, address), self._tools.clock.monotonic()
        before = self._noted.get(key)
        if before is not None and now < before + limits.LAST_USE_SECONDS:
            return
        self._noted[key] = now
        self._noted.move_to_end(key)
        while len(self._noted) > limits.LAST_USES_REMEMBERED_MAX:
            self._noted.popitem(last=False)
        one.log_old(address)
        task = asyncio.ensure_future(self._note(one, hashed, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note(self, one: RotatingPassword, fingerprint: str, address: str) -> None:
        """A full disk makes last uses old and nothing else."""
        try:
            await one.used(fingerprint, address)
        except (Unavailable, StoreFailed):
            pass

    async def told(self, account: str) -> Told | None:
        """As the database has it: another process may have seen more. None for one that is not kept elsewhere."""
        one = self.of(account)
        if one is None:
            return None
        try:
            kept = rotation.of_document(await self._tools.store.lookups.note(note_of(account)))
        except (TimeoutError, Unavailable):
            kept = None
        return told(one, kept, self._tools.clock.now())


def _notes(tx: Tx, names: Collection[str], settings: Settings) -> dict[str, Rotation | None]:
    """What is known of these; of accounts that there are no more nothing is."""
    tx.notes.keep_only(note_of(""), names)
    tx.uses.keep_only({ADMIN, *settings.accounts})
    return {name: rotation.of_document(tx.notes.get(note_of(name))) for name in names}
