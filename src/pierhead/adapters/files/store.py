"""``ports.blobs.BlobStore`` on the files of one data folder, which several worker processes may share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pierhead.adapters.files import outgoing, scan
from pierhead.adapters.files.ground import Ground, Hands, Health
from pierhead.adapters.files.incoming import FileIncoming, Uploads
from pierhead.adapters.files.layout import Layout
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import SendFile, Stored, StoreFailed
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.faults import Faults


class FileBlobs:
    """Made by ``start``, which draws the folder; the constructor alone touches nothing."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        entropy: Entropy,
        faults: Faults,
        inline_max: int = limits.BLOB_INLINE_BYTES_MAX,
    ) -> None:
        """``inline_max``: bytes up to which a landed blob is handed to its row instead of a file."""
        self.ground = Ground(Layout(str(root)), Hands(), Health(clock), entropy, faults, inline_max)
        self._uploads = Uploads(self.ground)

    @classmethod
    async def start(
        cls,
        root: Path,
        clock: Clock,
        entropy: Entropy,
        faults: Faults,
        inline_max: int = limits.BLOB_INLINE_BYTES_MAX,
    ) -> FileBlobs:
        """Draws what is missing of the folder and tries out a durable write. Raises StoreFailed if that fails."""
        store = cls(root, clock, entropy, faults, inline_max)
        try:
            await asyncio.to_thread(_prepare, store.ground)
        except StoreFailed:
            store.close()
            raise
        return store

    @property
    def health(self) -> str | None:
        """Why nothing is written any more until a restart; None if all is well."""
        return self.ground.health.reason

    async def begin(self, upload: str, algorithm: str, expected: int | None = None) -> FileIncoming:
        """A new upload; bytes of an old one with this id are thrown away. Raises StoreFailed, UploadBusy.

        With ``expected`` up to the inline maximum nothing is written to the disk, so two writers may begin at once: the
        first to ``keep`` has the upload, and the other hears StoreFailed.
        """
        return await self._uploads.begin(upload, algorithm, expected)

    async def resume(self, upload: str, algorithm: str) -> FileIncoming:
        """See ``BlobStore.resume``. Raises StoreFailed, UploadBusy, UploadMissing."""
        return await self._uploads.resume(upload, algorithm)

    def held(self, upload: str) -> int | None:
        """How many bytes an upload holds; None if it has none, or has landed. One stat."""
        return self._uploads.held(upload)

    async def drop(self, upload: str) -> None:
        """Throws away what a kept upload holds, if anything. Raises UploadBusy, StoreFailed."""
        await self._uploads.drop(upload)

    def open(self, digest: Digest, generation: str, size: int) -> SendFile:
        """How to send a stored blob; does no I/O."""
        return outgoing.delivery(self.ground, digest, generation, size)

    async def delete(self, places: Sequence[tuple[Digest, str]]) -> None:
        """Takes stored bytes away, durably; those that are gone already count as taken. Raises StoreFailed."""
        await self.ground.hands.slow(outgoing.take_away, self.ground, places)

    def scan(self) -> AsyncIterator[Sequence[Stored]]:
        """Everything that is stored, in batches of up to 1000, in no order."""
        return scan.in_batches(self.ground.hands, scan.blobs(self.ground.layout))

    def uploads(self) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Uploads that have a file: (id, last written in microseconds since 1970), in batches of up to 1000."""
        return scan.in_batches(self.ground.hands, scan.uploads(self.ground.layout))

    def close(self) -> None:
        """Waits for what is running in threads, and ends them. Blocks."""
        self.ground.hands.close()


def _prepare(ground: Ground) -> None:
    scratch = ground.generation()
    try:
        ground.layout.draw(scratch)
        ground.layout.try_out(scratch)
    except OSError as error:
        raise ground.health.failure(error, f"the data folder {ground.layout.root} cannot be written to") from error
