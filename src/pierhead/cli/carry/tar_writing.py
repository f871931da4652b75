"""An archive, written front to back: the same image gives the same bytes, so that a broken one can be gone on with."""

from __future__ import annotations

import fcntl
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pierhead.cli.carry import layout
from pierhead.cli.carry.cargo import Cargo, Source
from pierhead.cli.carry.progress import Progress
from pierhead.cli.client import Fault
from pierhead.cli.replacing import replaceable
from pierhead.domain.digest import Digest, hasher

_BLOCK: Final = 512
_PIECE_BYTES: Final = 1 << 20
_END: Final = bytes(2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive. ``pieces(start)`` gives its bytes from there on; ``digest`` is what they must have."""

    head: bytes
    size: int
    digest: Digest
    pieces: Callable[[int], Iterator[bytes]]

    @property
    def length(self) -> int:
        """With header and padding."""
        return len(self.head) + self.size + self.padding

    @property
    def padding(self) -> int:
        """Bytes up to the next block."""
        return -self.size % _BLOCK


@dataclass(slots=True)
class Written:
    """Bytes of the archive, and how many of them were there from the last time."""

    bytes: int
    resumed_bytes: int


def parts_of(cargo: Cargo, index: bytes, source: Source) -> list[Part]:
    """In the order in which they stand: what it is, the manifests, the blobs."""
    parts = [_small(layout.LAYOUT_FILE, layout.LAYOUT), _small(layout.INDEX_FILE, index)]
    parts += [_part(one.digest, one.size, _manifest(source, one.digest, one.media_type)) for one in cargo.items]
    parts += [_part(one.digest, one.size, _blob(source, one.digest, one.size)) for one in cargo.blobs.values()]
    return parts


def write(path: Path, parts: list[Part], title: str) -> Written:
    """Writes beside ``path`` and renames at the end; a file of the last time is gone on with where it is the same.

    Raises Fault.
    """
    total = sum(part.length for part in parts) + len(_END)
    part_path = path.with_name(f"{path.name}.part")
    try:
        replaceable(path)
    except OSError as error:
        raise Fault(f"{path} cannot be written: {error.strerror}. Name a file.") from error
    try:
        with open(os.open(part_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Fault(f"{part_path} is being written by another command. Wait for it.") from None
            with Progress(title, total) as progress:
                resumed = _fill(file, parts, progress)
            file.write(_END)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            os.replace(part_path, path)
    except OSError as error:
        raise Fault(f"{part_path} cannot be written: {error.strerror}.") from error
    return Written(total, resumed)


def _fill(file: BinaryIO, parts: list[Part], progress: Progress) -> int:
    """How many bytes were there already."""
    there = os.fstat(file.fileno()).st_size
    resumed, fresh = 0, there == 0
    for part in parts:
        at = file.tell()
        kept = 0 if fresh else _kept(file, part, there - at)
        fresh = fresh or kept < part.length
        resumed += kept
        progress.skip(kept)
        if kept < part.length:
            _write(file, part, at, kept, progress)
        file.seek(at + part.length)
    return resumed


def _kept(file: BinaryIO, part: Part, there: int) -> int:
    """How many bytes of a part stand in the file as they have to: all, some from its beginning, or none."""
    head = file.read(len(part.head))
    if head != part.head:
        return 0
    found, left = hasher(part.digest.algorithm), min(part.size, there - len(head))
    held = left
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        if not piece:
            return 0
        found.update(piece)
        left -= len(piece)
    if held < part.size:
        return len(head) + held  # whether these are right is seen when the rest is there
    if found.hexdigest() != part.digest.hex:
        return 0
    return part.length if there >= part.length else len(head) + held


def _write(file: BinaryIO, part: Part, at: int, kept: int, progress: Progress) -> None:
    """Raises Fault for bytes that are not those of the digest."""
    base = progress.done - kept
    for start in dict.fromkeys((max(kept - len(part.head), 0), 0)):
        file.seek(at)
        file.write(part.head)
        found = hasher(part.digest.algorithm)
        _again(file, start, found.update)
        done = start
        for piece in part.pieces(start):
            file.write(piece)
            found.update(piece)
            done += len(piece)
            progress.reach(base + len(part.head) + done)
        if done == part.size and found.hexdigest() == part.digest.hex:
            file.write(bytes(part.padding))
            progress.reach(base + part.length)
            return
    raise Fault(f"The bytes that came for {part.digest} are others than it names. They are not kept.")


def _again(file: BinaryIO, count: int, update: Callable[[bytes], None]) -> None:
    """Reads what a file holds from here on, for the digest; ends behind it."""
    while count and (piece := file.read(min(count, _PIECE_BYTES))):
        update(piece)
        count -= len(piece)


def _part(digest: Digest, size: int, pieces: Callable[[int], Iterator[bytes]]) -> Part:
    return Part(_head(layout.place_of(digest), size), size, digest, pieces)


def _small(name: str, data: bytes) -> Part:
    return Part(_head(name, len(data)), len(data), Digest.of(data), lambda start: iter([data[start:]]))


def _manifest(source: Source, digest: Digest, media_type: str) -> Callable[[int], Iterator[bytes]]:
    def pieces(start: int) -> Iterator[bytes]:
        body = source.manifest(digest, media_type)
        if body is None:
            raise Fault(f"The manifest {digest} is not there any more.")
        yield body.data[start:]

    return pieces


def _blob(source: Source, digest: Digest, size: int) -> Callable[[int], Iterator[bytes]]:
    return lambda start: source.pieces(digest, start, size)


def _head(name: str, size: int) -> bytes:
    """The same for the same file: no time, no owner. Sizes from 8 GiB on get a header of their own (POSIX pax)."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)
