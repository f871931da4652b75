"""A file system that forgets at a power cut whatever was not synced, as POSIX allows a real one to.

Run as ``python -m tests.faults.lossy FOLDER``: mounts itself there until it is unmounted. A file's bytes survive if the
file was synced after they were written, a name if its folder was synced after it was given. ``os.setxattr(FOLDER,
"user.cut", SEED)`` is the cut: with an empty seed nothing unsynced is kept, with a number each unsynced block of 4 KiB
and each unsynced name is kept or lost by chance.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mfusepy  # type: ignore[import-untyped]

BLOCK = 4096


@dataclass
class Inode:
    mode: int
    number: int
    data: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    """What a cut leaves."""
    written: int = 0
    changed: int = 0


class Lossy(mfusepy.Operations):  # type: ignore[misc]
    """``now`` is what programs see, ``disk`` the names that a cut leaves; both lead from a path to an inode."""

    use_ns = True

    def __init__(self) -> None:
        self.count = 0
        root = self._inode(stat.S_IFDIR | 0o755)
        self.now: dict[str, Inode] = {"/": root}
        self.disk: dict[str, Inode] = {"/": root}
        self.handles: dict[int, Inode] = {}

    # --- names ---------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, mode: int) -> int:
        self._new(path, self._inode(stat.S_IFDIR | mode))
        return 0

    def rmdir(self, path: str) -> int:
        del self.now[path]
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._new(path, self._inode(stat.S_IFREG | mode))
        return self.open(path, 0)

    def link(self, target: str, source: str) -> int:
        self._new(target, self._at(source))
        return 0

    def unlink(self, path: str) -> int:
        self._at(path).changed = time.time_ns()
        del self.now[path]
        return 0

    def rename(self, old: str, new: str) -> int:
        self.now[new] = self._at(old)
        del self.now[old]
        return 0

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        here = self.now[path]
        named = [(".", here), ("..", here)]
        named += [(name.rpartition("/")[2], inode) for name, inode in self.now.items() if parent(name) == path]
        # Readers pass over entries whose inode has no number.
        return [(name, {"st_mode": inode.mode, "st_ino": inode.number}, 0) for name, inode in named]

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        inode = self._at(path)
        folder = stat.S_ISDIR(inode.mode)
        return {
            "st_mode": inode.mode,
            "st_ino": inode.number,
            "st_nlink": 2 if folder else sum(one is inode for one in self.now.values()),
            "st_size": len(inode.data),
            "st_mtime": inode.written,
            "st_ctime": inode.changed,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
        }

    # --- bytes ---------------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        self.count += 1
        self.handles[self.count] = self._at(path)
        return self.count

    def release(self, path: str, fh: int) -> int:
        self.handles.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self.handles[fh].data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        inode = self.handles[fh]
        inode.data.extend(bytes(max(0, offset - len(inode.data))))
        inode.data[offset : offset + len(data)] = data
        inode.written = inode.changed = time.time_ns()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        inode = self.handles[fh] if fh is not None and fh in self.handles else self._at(path)
        del inode.data[length:]
        inode.data.extend(bytes(length - len(inode.data)))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        inode = self._at(path)
        inode.mode, inode.changed = stat.S_IFMT(inode.mode) | mode, time.time_ns()
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self._at(path).written = time.time_ns() if times is None else times[1]
        return 0

    # --- what lasts ----------------------------------------------------------------------------------------------

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        inode = self.handles[fh]
        inode.kept = bytes(inode.data)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """The names of this folder, and of no other."""
        elsewhere = {name: inode for name, inode in self.disk.items() if parent(name) != path}
        self.disk = elsewhere | {name: inode for name, inode in self.now.items() if parent(name) == path}
        return 0

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        if name != "user.cut":
            raise mfusepy.FuseOSError(errno.ENOTSUP)
        self.cut(random.Random(value) if value else None)
        return 0

    def cut(self, chance: random.Random | None) -> None:
        names = dict(self.disk)
        for name in sorted({*self.now, *self.disk}):
            here, there = self.now.get(name), self.disk.get(name)
            if here is not there and chance is not None and chance.random() < 0.5:
                if here is None:
                    names.pop(name, None)
                else:
                    names[name] = here
        # A name in a folder that is gone is gone as well.
        self.now = {name: names[name] for name in sorted(names) if all(up in names for up in above(name))}
        for inode in {id(one): one for one in self.now.values()}.values():
            inode.data = bytearray(inode.kept if chance is None else torn(inode, chance))
            inode.kept = bytes(inode.data)
        self.disk = dict(self.now)

    def _inode(self, mode: int) -> Inode:
        self.count += 1
        return Inode(mode, self.count, written=time.time_ns(), changed=time.time_ns())

    def _at(self, path: str) -> Inode:
        found = self.now.get(path)
        if found is None:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return found

    def _new(self, path: str, inode: Inode) -> None:
        if path in self.now:
            raise mfusepy.FuseOSError(errno.EEXIST)
        inode.changed = time.time_ns()
        self.now[path] = inode


def parent(path: str) -> str:
    """The folder of a path; the root has none."""
    return "" if path == "/" else path.rpartition("/")[0] or "/"


def above(path: str) -> Iterator[str]:
    while path := parent(path):
        yield path


def torn(inode: Inode, chance: random.Random) -> bytes:
    """Each block as it was synced last or as it was written last."""
    old, new = inode.kept, bytes(inode.data)
    length = chance.choice([len(old), len(new)])
    result = bytearray()
    for start in range(0, length, BLOCK):
        block = chance.choice([old, new])[start : start + BLOCK]
        result += block.ljust(min(BLOCK, length - start), b"\0")[: length - start]
    return bytes(result)


if __name__ == "__main__":
    options = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0, "use_ino": True}
    mfusepy.FUSE(Lossy(), sys.argv[1], foreground=True, nothreads=True, **options)
