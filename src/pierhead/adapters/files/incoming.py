"""Uploads: begun, kept, taken up again by any process, and landed.

The durable write itself, step by step, is ``Part.land``.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from pierhead.adapters.files.ground import Ground
from pierhead.adapters.files.part import Identity, Part, create, identity, is_open_upload, lock, names, open_again
from pierhead.domain import limits
from pierhead.domain.digest import Digest, Hasher, hasher
from pierhead.ports.blobs import Landed, Source, StoreFailed, UploadBusy, UploadMissing

_TRIES: Final = 8
_TOO_LATE: Final = "another request has begun the same upload meanwhile"


class _Kept(Struct, frozen=True):
    """What this process knows of an upload that it has let go."""

    algorithm: str
    state: Hasher
    known: Identity


class Uploads:
    """The uploads of one data folder, as one process sees them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def begin(self, upload: str, algorithm: str, expected: int | None) -> FileIncoming:
        """See ``BlobStore.begin``."""
        self.ground.health.check()
        path = self.ground.layout.upload(upload)
        self._kept.pop(upload, None)
        if expected is not None and expected <= self.ground.inline_max:
            if _stands(path):  # one that has landed, and whose writer has not let go, is busy
                await self.drop(upload)
            return FileIncoming(self, upload, algorithm, None)
        part = await self.ground.hands.quick(self._create, path, algorithm, expected or 0)
        return FileIncoming(self, upload, algorithm, part)

    async def resume(self, upload: str, algorithm: str) -> FileIncoming:
        """See ``BlobStore.resume``."""
        self.ground.health.check()
        path = self.ground.layout.upload(upload)
        part, found = await self.ground.hands.quick(self._reopen, path, algorithm)
        kept = self._kept.pop(upload, None)
        if kept is not None and kept.algorithm == algorithm and kept.known == found:
            part.adopt(kept.state, found[2])
        else:
            try:
                await self.ground.hands.slow(part.rehash, found[2])
            except StoreFailed:
                part.close()
                raise
        return FileIncoming(self, upload, algorithm, part)

    def held(self, upload: str) -> int | None:
        """See ``BlobStore.held``."""
        try:
            found = os.stat(self.ground.layout.upload(upload), follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_size if is_open_upload(found) else None

    async def drop(self, upload: str) -> None:
        """See ``BlobStore.drop``."""
        self._kept.pop(upload, None)
        await self.ground.hands.quick(self._remove, self.ground.layout.upload(upload))

    async def spill(self, upload: str, algorithm: str, pieces: Sequence[bytes]) -> Part:
        """A small upload gets its file after all. Raises StoreFailed, also if another writer was quicker."""
        path = self.ground.layout.upload(upload)
        return await self.ground.hands.quick(self._create_with, path, algorithm, pieces)

    async def keep(self, upload: str, part: Part) -> None:
        """Lets a part go and remembers its hash. Raises StoreFailed."""
        state, known = await self.ground.hands.quick(part.keep)
        self._kept[upload] = _Kept(part.algorithm, state, known)
        if len(self._kept) > limits.UPLOAD_HASHERS_KEPT_MAX:
            self._kept.popitem(last=False)

    def _create(self, path: str, algorithm: str, size: int) -> Part:
        """An old upload of this name gives way to a new file; it is never written over, as it may have landed."""
        try:
            handle = self._create_locked(path)
        except OSError as error:
            raise self.ground.health.failure(error, "no upload can be begun") from error
        part = Part(self.ground, path, handle, algorithm)
        if size:
            part.reserve(size)
        return part

    def _create_with(self, path: str, algorithm: str, pieces: Sequence[bytes]) -> Part:
        if self.held(os.path.basename(path)) is not None:
            # Its bytes may have been promised to a client already.
            raise StoreFailed(_TOO_LATE)
        try:
            part = self._create(path, algorithm, 0)
        except UploadBusy:
            raise StoreFailed(_TOO_LATE) from None
        part.write(pieces)
        return part

    def _create_locked(self, path: str) -> int:
        for _ in range(_TRIES):
            try:
                handle = create(path)
            except FileExistsError:
                self._remove_locked(path)
                continue
            if not lock(handle):
                os.close(handle)
                break
            if names(handle, path):
                return handle
            os.close(handle)
        raise UploadBusy(os.path.basename(path))

    def _reopen(self, path: str, algorithm: str) -> tuple[Part, Identity]:
        try:
            handle = open_again(path)
        except FileNotFoundError:
            raise UploadMissing(os.path.basename(path)) from None
        except OSError as error:
            if self.held(os.path.basename(path)) is None:
                raise UploadMissing(os.path.basename(path)) from None
            raise self.ground.health.failure(error, "the upload cannot be opened") from error
        part = Part(self.ground, path, handle, algorithm)
        if not lock(handle):
            part.close()
            raise UploadBusy(os.path.basename(path))
        found = os.fstat(handle)
        if not names(handle, path) or not is_open_upload(found):
            part.close()
            raise UploadMissing(os.path.basename(path))
        return part, identity(found)

    def _remove(self, path: str) -> None:
        try:
            self._remove_locked(path)
        except OSError as error:
            raise self.ground.health.failure(error, "the upload cannot be taken away") from error

    def _remove_locked(self, path: str) -> None:
        """Raises UploadBusy, OSError."""
        try:
            # Read-only, since what has landed is read-only.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if not lock(handle):
                raise UploadBusy(os.path.basename(path))
            if names(handle, path):
                os.unlink(path)
        finally:
            os.close(handle)


class FileIncoming:
    """One upload. As long as it is small and its length was told it lives in memory, and no file is made at all.

    Every other batch goes to a thread. For 64 KiB the hop costs more than hashing and writing them (measured: 90 µs of
    140), but the loop would stand still for all ports whenever the disk does. Callers gather up to 1 MiB, where the hop
    is one percent.
    """

    def __init__(self, uploads: Uploads, upload: str, algorithm: str, part: Part | None) -> None:
        self._uploads = uploads
        self._ground = uploads.ground
        self._upload = upload
        self._algorithm = algorithm
        self._part = part
        self._pieces: list[bytes] = []
        self._size = 0
        self._known: dict[str, Digest] = {}
        self._over = False
        self._failure: StoreFailed | None = None

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size if self._part is None else self._part.size

    async def append(self, pieces: Sequence[bytes]) -> None:
        """See ``Incoming.append``."""
        self._check()
        self._known.clear()
        if self._part is None:
            self._pieces.extend(pieces)
            self._size += sum(map(len, pieces))
            if self._size > self._ground.inline_max:
                await self._spill()
            return
        try:
            await self._ground.hands.batch(self._part.write, pieces)
        except StoreFailed as failure:
            self._failed(failure)
            raise

    async def draw(self, source: Source) -> None:
        """See ``Incoming.draw``. The upload gets its file, if it has none."""
        self._check()
        self._known.clear()
        part = self._part or await self._spill()
        try:
            await self._ground.hands.draw(part.draw, source)
        except StoreFailed as failure:
            self._failed(failure)
            raise

    async def digest(self, algorithm: str) -> Digest:
        """See ``Incoming.digest``."""
        self._check()
        known = self._known.get(algorithm)
        if known is None:
            if self._part is None:
                known = self._digest_in_memory(algorithm)
            elif algorithm == self._algorithm:
                known = self._part.digest(algorithm)
            else:
                known = await self._ground.hands.slow(self._part.digest, algorithm)
            self._known[algorithm] = known
        return known

    async def keep(self) -> None:
        """See ``Incoming.keep``. A small upload is written to its file now."""
        self._check()
        part = self._part or await self._spill()
        self._over = True
        await self._uploads.keep(self._upload, part)

    async def land(self, digest: Digest) -> Landed:
        """See ``Incoming.land``. Raises ValueError for a digest that is not of these bytes."""
        if await self.digest(digest.algorithm) != digest:
            raise ValueError(f"the upload holds other bytes than {digest} names")
        self._over = True
        if self._part is None:
            return Landed(digest, self._size, self._ground.generation(), b"".join(self._pieces))
        return await self._ground.hands.quick(self._part.land, digest)

    async def discard(self) -> None:
        """See ``Incoming.discard``."""
        over, self._over = self._over, True
        if self._part is not None and not self._part.closed:
            await self._ground.hands.quick(self._part.remove if over else self._part.give_up)

    async def _spill(self) -> Part:
        try:
            self._part = await self._uploads.spill(self._upload, self._algorithm, self._pieces)
        except StoreFailed as failure:
            self._failed(failure)
            raise
        self._pieces = []
        return self._part

    def _digest_in_memory(self, algorithm: str) -> Digest:
        state = hasher(algorithm)
        for piece in self._pieces:
            state.update(piece)
        return Digest(f"{algorithm}:{state.hexdigest()}")

    def _failed(self, failure: StoreFailed) -> None:
        self._over, self._failure = True, failure

    def _check(self) -> None:
        """A caller who goes on after a failure, to keep what came, hears the same again."""
        if self._failure is not None:
            raise StoreFailed(str(self._failure), full=self._failure.full)
        if self._over or (self._part is not None and self._part.closed):
            raise StoreFailed("the upload was ended before")


def _stands(path: str) -> bool:
    """One stat, as :meth:`Uploads.held`."""
    return os.path.lexists(path)
