"""The data folder as the blob store sees it: draws the tree once, composes every path.

::

    DATA/lock                               held by the one program that uses the folder
    DATA/blobs/layout                       the tree below has been drawn, durably
    DATA/blobs/sha256/<aa>/<hex>.<gen>      a stored blob, read-only; aa are its first two digits, gen its generation
    DATA/blobs/sha512/<aa>/<hex>.<gen>
    DATA/uploads/<id>                       an upload, locked by whoever writes to it
    DATA/fills/<algorithm>-<hex>            a cache fill, locked by its leader

All fan-out folders are made and synced at the first start, so that no push ever makes one: a file's name is durable
when its folder is synced, but only if the folder's own name was durable before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from msgspec import Struct

from pierhead.domain.digest import ALGORITHMS, Digest

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
SEALED_MODE: Final = 0o400
"""Of a stored blob, and of a fill that has landed."""

_LOWER_HEX: Final = frozenset("0123456789abcdef")
_FAN_OUT: Final = tuple(f"{number:02x}" for number in range(256))
_DRAWN: Final = b"pierhead blobs 1\n"


class FolderInUse(Exception):
    """Another program holds the lock of this data folder. ``holder`` is its process id, if it could be read."""

    def __init__(self, folder: Path, holder: int | None) -> None:
        who = f"process {holder}" if holder is not None else "another process"
        super().__init__(f"{folder} is in use by {who}; stop it, or give this one a data folder of its own")
        self.folder = folder
        self.holder = holder


def is_hex(text: str, length: int) -> bool:
    """Whether ``text`` is ``length`` lower-case hexadecimal digits."""
    return len(text) == length and _LOWER_HEX.issuperset(text)


def sync_folder(path: str) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: str, body: bytes, scratch: str) -> None:
    """Puts ``body`` under ``path`` by way of ``scratch``, a name in the same folder. Raises OSError."""
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(handle, body)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(scratch, path)
    sync_folder(os.path.dirname(path))


def lock_folder(root: Path) -> int:
    """Locks the data folder for this program, making it if there is none.

    Returns the descriptor that holds the lock; worker processes inherit it, and the kernel lets go when the last of
    them ends. Raises FolderInUse, OSError.
    """
    os.makedirs(root, FOLDER_MODE, exist_ok=True)
    handle = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        noted = os.pread(handle, 20, 0).strip()
        os.close(handle)
        raise FolderInUse(root, int(noted) if noted.isdigit() else None) from None
    except OSError:
        os.close(handle)
        raise
    os.ftruncate(handle, 0)
    os.pwrite(handle, b"%d\n" % os.getpid(), 0)
    return handle


class Layout(Struct, frozen=True):
    """Composes paths; the text of ids and digests is checked here a last time, as no path may leave the folder."""

    root: str

    @property
    def uploads(self) -> str:
        return f"{self.root}/uploads"

    @property
    def fills(self) -> str:
        return f"{self.root}/fills"

    def blobs(self, algorithm: str) -> str:
        """The folder that holds the fan-out folders of an algorithm."""
        return f"{self.root}/blobs/{algorithm}"

    def blob_folder(self, digest: Digest) -> str:
        """The fan-out folder of a digest."""
        return f"{self.root}/blobs/{digest.algorithm}/{digest.hex[:2]}"

    def blob(self, digest: Digest, generation: str) -> str:
        """Raises ValueError unless ``generation`` is 16 lower-case hexadecimal digits."""
        if not is_hex(generation, 16):
            raise ValueError(f"a generation is 16 hexadecimal digits, not {generation!r}")
        return f"{self.blob_folder(digest)}/{digest.hex}.{generation}"

    def upload(self, upload: str) -> str:
        """Raises ValueError unless ``upload`` is 32 lower-case hexadecimal digits."""
        if not is_hex(upload, 32):
            raise ValueError(f"an upload id is 32 hexadecimal digits, not {upload!r}")
        return f"{self.uploads}/{upload}"

    def fill(self, digest: Digest) -> str:
        return f"{self.fills}/{digest.algorithm}-{digest.hex}"

    def fan_out(self) -> list[str]:
        """Every folder that may hold blobs."""
        return [f"{self.blobs(algorithm)}/{pair}" for algorithm in ALGORITHMS for pair in _FAN_OUT]

    def draw(self, scratch: str) -> None:
        """Makes what is missing of the tree, durably; ``scratch`` is a name nobody else uses. Raises OSError.

        Two listings when everything is there. Several processes may draw at once.
        """
        if self._drawn():
            return
        os.makedirs(self.root, FOLDER_MODE, exist_ok=True)
        branches = [f"{self.root}/blobs", *(self.blobs(algorithm) for algorithm in ALGORITHMS)]
        leaves = [self.uploads, self.fills, *self.fan_out()]
        for path in (*branches, *leaves):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, FOLDER_MODE)
        # A leaf is empty: what there is of it stands in its branch. Who puts a file into it syncs it.
        for path in (*branches, self.root, os.path.dirname(os.path.abspath(self.root))):
            sync_folder(path)
        write_durably(f"{self.root}/blobs/layout", _DRAWN, f"{self.root}/blobs/{scratch}")

    def _drawn(self) -> bool:
        """The mark says that the folders were synced; the listings, that no restored copy left empty ones out."""
        try:
            os.stat(f"{self.root}/blobs/layout")
            os.stat(self.uploads)
            os.stat(self.fills)
            return all(set(_FAN_OUT).issubset(os.listdir(self.blobs(algorithm))) for algorithm in ALGORITHMS)
        except FileNotFoundError:
            return False

    def try_out(self, scratch: str) -> None:
        """Writes, syncs, renames and takes away a small file, as a landing would. Raises OSError."""
        tried = f"{self.root}/blobs/{scratch}.tried"
        write_durably(tried, b"pierhead\n", f"{self.root}/blobs/{scratch}")
        os.unlink(tried)
