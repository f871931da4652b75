"""Upload sessions that nobody writes to any more are forgotten, with the bytes that they hold.

A session is idle when it was begun, and its file last written, longer ago than the setting. Files without a session
(the process ended between the two) go after the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.commits.upload import forget_idle
from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.blobs import BlobStore, StoreFailed, UploadBusy
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.store import Store, Tx
from pierhead.repositories.sessions import Sessions

JOB: Final = "reap uploads"


class ReapUploads(Struct, frozen=True):
    """One process reaps at a time; ``holder`` is this one's name. ``idle`` and ``term`` are in microseconds."""

    store: Store
    blobs: BlobStore
    clock: Clock
    holder: str
    idle: int
    sessions: Sessions
    term: int = limits.JOB_TERM_SECONDS * 1_000_000
    batch: int = limits.UPLOAD_REAP_ROWS_MAX

    async def __call__(self) -> Outcome:
        """One step: a batch of sessions; after the last batch, the files that belong to none."""
        try:
            return await self._step()
        except (Unavailable, StoreFailed, OSError) as error:
            return Failed(str(error))

    async def _step(self) -> Outcome:
        before = self.clock.now() - self.idle
        begun = self.sessions.forget(before)
        # Listed before the rows are looked at: what is begun meanwhile is in neither list.
        files = [found async for batch in self.blobs.uploads() for found in batch]
        written = dict(files)
        taken = await self.store.write(lambda tx: self._forget(tx, before, written), durable=False, vital=True)
        if taken is None:
            return Worked(f"{begun} idle uploads forgotten") if begun else Idle()
        sessions, more = taken
        dropped = await self._drop([upload for upload in sessions if upload in written])
        if not more:
            gone = frozenset(sessions)
            stale = [upload for upload, at in files if at < before and upload not in gone]
            dropped += await self._drop([each for each in stale if await self.store.lookups.upload(each) is None])
        if not sessions and not begun and not dropped and not more:
            return Idle()
        return Worked(f"{len(sessions) + begun} idle uploads forgotten, {dropped} files deleted", more=more)

    def _forget(self, tx: Tx, before: int, written: Mapping[str, int]) -> tuple[Sequence[str], bool] | None:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term):
            return None
        return forget_idle(tx, before, written, self.batch)

    async def _drop(self, uploads: Sequence[str]) -> int:
        dropped = 0
        for upload in uploads:
            try:
                await self.blobs.drop(upload)
            except UploadBusy:
                continue  # somebody writes to it; it will be found again when he has stopped
            dropped += 1
        return dropped
