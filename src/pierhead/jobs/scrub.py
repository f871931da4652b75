"""What crashes and disks do to a store, looked for in the background: bytes that no row names, a damaged database.

Bytes come before their row, so a process that ends between the two leaves bytes without one. A day later nobody can be
about to name them: they are deleted, or, if a cached manifest waits for just these bytes and they are still what their
name says, adopted.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from pierhead.commits.blob import adopt_orphan
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.blobs import BlobStore, SendFile, Stored, StoreFailed
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import BlobState

JOB: Final = "scrub"


class Scrub(Struct, frozen=True):
    """One process scrubs at a time; ``holder`` is this one's name. ``orphan_age`` and ``term`` are in microseconds."""

    store: Store
    blobs: BlobStore
    clock: Clock
    holder: str
    orphan_age: int = limits.ORPHAN_SECONDS * 1_000_000
    term: int = limits.JOB_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """Walks through everything that is stored, once."""
        try:
            return await self._walk()
        except (Unavailable, StoreFailed, OSError) as error:  # TimeoutError is an OSError too
            return Failed(str(error))

    async def _walk(self) -> Outcome:
        deleted = adopted = 0
        async for batch in self.blobs.scan():
            if not await self._hold():
                return Idle()
            for orphan in await self._orphans(batch):
                if await self._adopt(orphan):
                    adopted += 1
                elif await self._nobody_names(orphan):
                    await self.blobs.delete([(orphan.digest, orphan.generation)])
                    deleted += 1
        if not deleted and not adopted:
            return Idle()
        return Worked(f"{deleted} files without a row deleted, {adopted} adopted")

    async def _hold(self) -> bool:
        return await self.store.write(
            lambda tx: tx.jobs.take(JOB, self.holder, tx.now + self.term),
            durable=False,
        )

    async def _orphans(self, batch: Sequence[Stored]) -> list[Stored]:
        before = self.clock.now() - self.orphan_age
        old = [found for found in batch if found.modified < before]
        named = await self.store.report(lambda reports: reports.stored([found.digest for found in old]))
        return [found for found in old if (found.digest, found.generation) not in named]

    async def _adopt(self, orphan: Stored) -> bool:
        row = await self.store.lookups.known(orphan.digest)
        if row is None or row.state is not BlobState.ABSENT or row.size != orphan.size:
            return False
        delivery = self.blobs.open(orphan.digest, orphan.generation, orphan.size)
        if not isinstance(delivery, SendFile) or not await asyncio.to_thread(_whole, delivery.path, orphan.digest):
            return False
        return await self.store.write(lambda tx: adopt_orphan(tx, orphan.digest, orphan.size, orphan.generation))

    async def _nobody_names(self, orphan: Stored) -> bool:
        """Asked again: another process may have adopted it while this one was reading."""
        row = await self.store.lookups.known(orphan.digest)
        return row is None or row.generation != orphan.generation


class CheckDatabase(Struct, frozen=True):
    """Reads the database through, after a start and then once in a while; writes are refused if it is damaged.

    Of workers that start together one does it: the others find the job taken. ``term`` is in microseconds.
    """

    store: Store
    holder: str
    term: int = limits.CHECK_TERM_SECONDS * 1_000_000

    async def __call__(self) -> Outcome:
        """The whole database, once."""
        try:
            if not await self.store.write(lambda tx: tx.jobs.take("check", self.holder, tx.now + self.term)):
                return Idle()
        except Unavailable as error:
            return Failed(str(error))
        found = await self.store.check()
        return Failed(f"the database is damaged: {'; '.join(found)}") if found else Idle()


def _whole(path: str, digest: Digest) -> bool:
    """Whether the file holds what its name says. False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hex
    except OSError:
        return False
