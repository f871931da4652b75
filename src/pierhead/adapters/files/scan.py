"""What lies in the data folder, name by name. Generators that block; they never change anything."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from pierhead.adapters.files.ground import Hands
from pierhead.adapters.files.layout import Layout, is_hex
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import DigestInvalid
from pierhead.ports.blobs import Stored

T = TypeVar("T")

_BATCH: Final = 1000


async def in_batches(hands: Hands, found: Iterable[T]) -> AsyncIterator[Sequence[T]]:
    """Turns a generator that blocks into batches of up to 1000, each gathered in a thread."""
    source = iter(found)
    while batch := await hands.slow(_take, source):
        yield batch


def _take(source: Iterator[T]) -> list[T]:
    return list(itertools.islice(source, _BATCH))


def blobs(layout: Layout) -> Iterator[Stored]:
    """Every file that a landing has left, in no order. Names that no landing makes are passed over. Raises OSError."""
    for folder in layout.fan_out():
        for entry, found in _files(folder):
            encoded, _, generation = entry.name.partition(".")
            digest = _digest(os.path.basename(os.path.dirname(folder)), encoded)
            if digest is not None and is_hex(generation, 16):
                # The instant of the landing, which links the file: its bytes may have been written long before.
                yield Stored(digest, generation, found.st_size, found.st_ctime_ns // 1000)


def uploads(layout: Layout) -> Iterator[tuple[str, int]]:
    """(id, last written in microseconds since 1970) of every upload that has a file. Raises OSError."""
    for entry, found in _files(layout.uploads):
        if is_hex(entry.name, 32):
            yield entry.name, found.st_mtime_ns // 1000


def _files(folder: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """The names are read at once, so that a slow consumer does not hold a folder open."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        with contextlib.suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                yield entry, found


def _digest(algorithm: str, encoded: str) -> Digest | None:
    try:
        return Digest.parse(f"{algorithm}:{encoded}")
    except DigestInvalid:
        return None
