"""Where the bytes of blobs are kept.

The order of bytes and rows, which every caller keeps: **in**, the bytes are durable under their final name before the
row that names them is committed; **out**, the row is marked and committed before the bytes go, and forgotten after.

A blob's place is (digest, generation): a generation is made anew for each landing and never used again, so taking away
an old one can never hit a new one.

Traps for whoever writes an adapter:
- A failed sync is never retried on the same handle: the kernel may have dropped the pages (USENIX ATC 2020, Rebello).
- A name in a folder is durable when the *folder* has been synced.
- ``append`` is called with many small pieces; hash and write off the event loop, and copy nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.ports.landed import Landed as Landed


class SendBytes(Struct, frozen=True):
    """A small blob, whole."""

    body: bytes


class SendFile(Struct, frozen=True):
    """A blob as a file of this machine, ``size`` bytes long. Its length may be checked against the row at opening."""

    path: str
    size: int


Delivery = SendBytes | SendFile


class Stored(Struct, frozen=True):
    """What ``scan`` finds: a stored blob or the remains of one."""

    digest: Digest
    generation: str
    size: int
    modified: int
    """Microseconds since 1970."""


class UploadBusy(Exception):
    """Somebody else is writing to this upload just now."""


class UploadMissing(Exception):
    """No bytes are kept under this upload id."""


class StoreFailed(Exception):
    """The store could not write or sync (disk full, I/O error); nothing was acknowledged. ``full`` tells which."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class Source(Protocol):
    """Bytes that a thread can read."""

    def read_into(self, view: memoryview, /) -> int:
        """How many it put there; fewer than fit if no more are to be had now. Blocks no longer than a moment."""


class Incoming(Protocol):
    """One upload that is being written, held by one writer at a time. Ends with keep, with discard, or with land and
    then discard: until its row is committed, nobody else may begin it anew."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    async def append(self, pieces: Sequence[bytes]) -> None:
        """Writes ``pieces`` behind what is there, hashing as it goes. Raises StoreFailed."""

    async def draw(self, source: Source) -> None:
        """As ``append`` for what ``source`` has, up to ``limits.DRAW_BYTES_MAX``, read in the thread that writes it."""

    async def digest(self, algorithm: str) -> Digest:
        """Of all bytes so far. Another algorithm than the one that was begun with reads them again."""

    async def keep(self) -> None:
        """Lets go; the bytes stay for a later ``resume``, in this or another process.

        Raises StoreFailed, also if another writer of the same upload, begun at the same time, was quicker.
        """

    async def land(self, digest: Digest) -> Landed:
        """Makes the bytes durable under ``digest``, which the caller has compared. The upload stays held.

        Raises StoreFailed, and ValueError for a digest of other bytes, which is a mistake of the caller's.
        """

    async def discard(self) -> None:
        """Throws the bytes away, or lets go of what has landed. May be called again, and after everything else."""


class BlobStore(Protocol):
    """Seven verbs. Upload ids are made by the caller: 32 lower-case hexadecimal digits."""

    async def begin(self, upload: str, algorithm: str, expected: int | None = None) -> Incoming:
        """A new upload; ``expected`` bytes are reserved if known. What an old one of this id kept is thrown away.

        Raises StoreFailed, UploadBusy if it is held.
        """

    async def resume(self, upload: str, algorithm: str) -> Incoming:
        """Goes on with an upload that was kept; hashes again what lies there if this process does not remember.

        Raises UploadBusy if another writer holds it, UploadMissing if nothing was ever written.
        """

    def held(self, upload: str) -> int | None:
        """How many bytes an upload holds; None if nothing was ever written."""

    async def drop(self, upload: str) -> None:
        """Throws away what a kept upload holds, if anything. Raises UploadBusy."""

    def open(self, digest: Digest, generation: str, size: int) -> Delivery:
        """How to send a stored blob; does no I/O."""

    async def delete(self, places: Sequence[tuple[Digest, str]]) -> None:
        """Takes stored bytes away, durably; those that are gone already count as taken."""

    def scan(self) -> AsyncIterator[Sequence[Stored]]:
        """Everything that is stored, in batches, in no order."""

    def uploads(self) -> AsyncIterator[Sequence[tuple[str, int]]]:
        """Kept uploads: (id, last written in microseconds since 1970)."""
