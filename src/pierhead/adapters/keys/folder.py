"""A folder of keys that several processes share: files that are written once, and a lock for who makes them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pierhead.ports.clock import Entropy

_FILE_BYTES_MAX: Final = 4_096


class KeyFolder:
    """Files by their names in the folder; no link is followed. All methods raise OSError."""

    def __init__(self, path: Path, entropy: Entropy) -> None:
        """The folder has to be there before it is used."""
        self._path = path
        self._entropy = entropy

    def read(self, name: str) -> bytes:
        """Up to 4 KiB. A file that is open to others is closed to them first."""
        handle = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, 0o600)
            return os.read(handle, _FILE_BYTES_MAX)
        finally:
            os.close(handle)

    def write(self, name: str, body: bytes, mode: int = 0o600) -> None:
        """Durable under its name before it returns, and never open to more than ``mode`` says. What root makes belongs
        to whom the folder belongs to: the server may be somebody else."""
        scratch = self._path / f".{name}.{self._entropy.token(4).hex()}"
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            if os.geteuid() == 0:
                owner = os.stat(self._path)
                os.fchown(handle, owner.st_uid, owner.st_gid)
            os.write(handle, body)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(scratch, self._path / name)
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other process makes or removes keys meanwhile; a process that ends lets go."""
        handle = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
