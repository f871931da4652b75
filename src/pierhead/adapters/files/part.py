"""One file that is being written: locked, hashed as it grows, and landed by the durable write.

Everything here blocks and runs in a thread, one thread at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from typing import Final

from pierhead.adapters.files.ground import Ground
from pierhead.adapters.files.layout import FILE_MODE, SEALED_MODE, sync_folder
from pierhead.domain import limits
from pierhead.domain.digest import Digest, Hasher, hasher
from pierhead.ports.blobs import Landed, Source, StoreFailed
from pierhead.ports.faults import FaultPoint

FAILED_MODE: Final = 0o500
"""Of a part that its writer gave up; see fills.py."""

Identity = tuple[int, int, int, int, int]

_BUFFERS_MAX: Final = 1024  # IOV_MAX of Linux and of macOS
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE
_NOT_RESERVED: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EINTR})
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def _find_fallocate() -> Callable[[int, int, int, int], int] | None:
    """``os.posix_fallocate`` makes the file longer at once; after a crash its length would no longer tell what was
    written. Linux can reserve without that, but Python does not offer it."""
    found = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if found is None:
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    found.restype = ctypes.c_int
    call: Callable[[int, int, int, int], int] = found
    return call


_FALLOCATE: Final = _find_fallocate()


def reserve(handle: int, size: int) -> None:
    """Sets ``size`` bytes of the disk aside; the file stays as long as it is. Raises OSError if they are not there.

    Does nothing where the file system cannot do it.
    """
    if _FALLOCATE is None or _FALLOCATE(handle, _KEEP_SIZE, 0, size) == 0:
        return
    number = ctypes.get_errno()
    if number not in _NOT_RESERVED:
        raise OSError(number, os.strerror(number))


def write_all(handle: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Writes ``pieces`` at ``offset`` without joining them; returns how many bytes. Raises OSError."""
    total = 0
    for start in range(0, len(pieces), _BUFFERS_MAX):
        group = pieces[start : start + _BUFFERS_MAX]
        while left := sum(map(len, group)):
            done = os.pwritev(handle, group, offset + total)
            total += done
            if done == left:
                break
            if done == 0:
                raise OSError(errno.EIO, "the disk takes no more bytes and does not say why")
            group = _behind(group, done)
    return total


def _behind(pieces: Sequence[bytes | memoryview], done: int) -> list[bytes | memoryview]:
    """What a short write left over."""
    rest: list[bytes | memoryview] = []
    for piece in pieces:
        if done >= len(piece):
            done -= len(piece)
        else:
            rest.append(memoryview(piece)[done:] if done else piece)
            done = 0
    return rest


def read_into(handle: int, state: Hasher, size: int) -> None:
    """Feeds the first ``size`` bytes of a file to ``state``. Raises OSError, also for a file that is shorter."""
    buffer = bytearray(min(size, limits.CHUNK_BATCH_BYTES))
    window = memoryview(buffer)
    offset = 0
    while offset < size:
        got = os.preadv(handle, [window[: min(len(buffer), size - offset)]], offset)
        if got == 0:
            raise OSError(errno.EIO, "the file is shorter than what was written to it")
        state.update(window[:got])
        offset += got


def lock(handle: int) -> bool:
    """Whether this descriptor now holds the file's lock, which dies with the process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def names(handle: int, path: str) -> bool:
    """Whether ``path`` still is the name of the open file: between opening and locking it may have been taken away."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))


def create(path: str) -> int:
    """A new file, open and not yet locked. Raises FileExistsError, OSError."""
    return os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, FILE_MODE)


def open_again(path: str) -> int:
    """A file that exists, for writing. Raises FileNotFoundError, OSError."""
    return os.open(path, _OPEN)


class Part:
    """A file that its owner has locked. After StoreFailed the file is gone and the part is closed."""

    def __init__(self, ground: Ground, path: str, handle: int, algorithm: str) -> None:
        self._ground = ground
        self._path = path
        self._handle = handle
        self._reserved = False
        self._hasher = hasher(algorithm)
        self.algorithm = algorithm
        self.size = 0

    def __del__(self) -> None:
        """An owner who forgot must not hold the lock until the process ends."""
        self.close()

    @property
    def closed(self) -> bool:
        return self._handle < 0

    def inode(self) -> tuple[int, int]:
        """Device and number, which tell this file from others of the same name."""
        found = os.fstat(self._handle)
        return found.st_dev, found.st_ino

    def reserve(self, size: int) -> None:
        """Raises StoreFailed before the first byte, if the disk has not that much left."""
        try:
            reserve(self._handle, size)
        except OSError as error:
            raise self._failed(error, f"{size} bytes cannot be reserved") from error
        self._reserved = True

    def adopt(self, state: Hasher, size: int) -> None:
        """Goes on behind ``size`` bytes, which ``state`` has hashed."""
        self._hasher, self.size = state, size

    def rehash(self, size: int) -> None:
        """Goes on behind ``size`` bytes, which are read once. The file stays if that fails. Raises StoreFailed."""
        state = hasher(self.algorithm)
        try:
            read_into(self._handle, state, size)
        except OSError as error:
            raise self._ground.health.failure(error, "an upload cannot be read") from error
        self.adopt(state, size)

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Appends and hashes. Raises StoreFailed."""
        self._check()
        try:
            self.size += write_all(self._handle, pieces, self.size)
        except OSError as error:
            raise self._failed(error, "the bytes cannot be written") from error
        for piece in pieces:
            self._hasher.update(piece)

    def draw(self, source: Source) -> None:
        """Appends and hashes what ``source`` has, up to ``limits.DRAW_BYTES_MAX``. Raises StoreFailed."""
        hands = self._ground.hands
        buffer = hands.buffer()
        try:
            view = memoryview(buffer)
            for _ in range(limits.DRAW_BYTES_MAX // len(view)):
                count = source.read_into(view)
                if count:
                    self.write([view[:count]])
                if count < len(view):
                    break
        finally:
            hands.take_back(buffer)

    def digest(self, algorithm: str) -> Digest:
        """Of all bytes so far; another algorithm reads them again. Raises StoreFailed."""
        if algorithm == self.algorithm:
            return Digest(f"{algorithm}:{self._hasher.hexdigest()}")
        state = hasher(algorithm)
        try:
            read_into(self._handle, state, self.size)
        except OSError as error:
            raise self._failed(error, "the bytes cannot be read back") from error
        return Digest(f"{algorithm}:{state.hexdigest()}")

    def land(self, digest: Digest) -> Landed:
        """The durable write. The part stays locked under its own name, read-only from here on.

        Raises StoreFailed, after which neither name is left.
        """
        ground = self._ground
        self._check()
        generation = ground.generation()
        final = ground.layout.blob(digest, generation)
        try:
            if self.size <= ground.inline_max:
                body = self._read_back(digest)
                os.fchmod(self._handle, SEALED_MODE)
                return Landed(digest, self.size, generation, body)
            self._trim()
            ground.faults.hit(FaultPoint.BLOB_WRITTEN)
            # 1. The bytes. If this fails it is never tried again on this descriptor.
            os.fdatasync(self._handle)
            ground.faults.hit(FaultPoint.BLOB_SYNCED)
            # 2. The name. No row refers to it yet, and a generation is never used twice, so nothing can be overwritten.
            os.link(self._path, final, follow_symlinks=False)
            ground.faults.hit(FaultPoint.BLOB_LINKED)
            # 3. The name is durable. From here on a row may refer to it.
            sync_folder(ground.layout.blob_folder(digest))
            ground.faults.hit(FaultPoint.BLOB_FOLDER_SYNCED)
            os.fchmod(self._handle, SEALED_MODE)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(final)
            raise self._failed(error, "the blob cannot be made durable") from error
        return Landed(digest, self.size, generation, None)

    def _read_back(self, digest: Digest) -> bytes:
        """A small blob, compared once more on its way from the file to the row."""
        body = os.pread(self._handle, self.size, 0)
        if Digest.of(body, digest.algorithm) != digest:
            raise OSError(errno.EIO, "the file holds other bytes than were written to it")
        return body

    def keep(self) -> tuple[Hasher, Identity]:
        """Closes the part and leaves the file; what was hashed so far, and how to know the file again.

        Raises StoreFailed.
        """
        try:
            self._trim()
            known = identity(os.fstat(self._handle))
        except OSError as error:
            raise self._failed(error, "the upload cannot be kept") from error
        self.close()
        return self._hasher, known

    def remove(self) -> None:
        """Takes the part's own name away and closes it. What has landed keeps its other name."""
        if not self.closed:
            # Not synced: should the name come back after a power cut, it is an upload without a session.
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self.close()

    def give_up(self) -> None:
        """As ``remove``, and whoever reads along learns that the rest will not come."""
        if not self.closed:
            with contextlib.suppress(OSError):
                os.fchmod(self._handle, FAILED_MODE)
            self.remove()

    def close(self) -> None:
        """Lets go of the lock."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _trim(self) -> None:
        """Gives back what was reserved and not used."""
        if self._reserved:
            os.ftruncate(self._handle, self.size)
            self._reserved = False

    def _check(self) -> None:
        try:
            self._ground.health.check()
        except StoreFailed:
            self.give_up()
            raise

    def _failed(self, error: OSError, doing: str) -> StoreFailed:
        self.give_up()
        return self._ground.health.failure(error, doing)


def identity(found: os.stat_result) -> Identity:
    """Tells a file that nobody has touched since from any other, even one with the same name and size."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_open_upload(found: os.stat_result) -> bool:
    """False for what is no file, and for an upload that landed and whose own name a crash left behind.

    Such a name leads to the bytes of a stored blob: writing to it would change them.
    """
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and bool(found.st_mode & stat.S_IWUSR)
