"""A tar file as it is: where each of its files begins, read with nothing written and nothing followed.

Only plain files and folders are taken, under names that stay inside. Whatever two programs could unpack differently is
refused: links, devices, names that lead out, the same name twice, sizes beyond the end. Source: POSIX pax, ustar.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from pierhead.cli.client import Fault

_BLOCK: Final = 512
_ENTRIES_MAX: Final = 200_000
_EXTRA_BYTES_MAX: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 20
_FILE: Final = b"0\0"
_FOLDER: Final = b"5"
_KINDS: Final = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's bytes are: from ``offset`` on, ``size`` of them."""

    offset: int
    size: int


class Tar:
    """``strange`` says what stands in it that is not taken, in plain words; it is for the caller to refuse it."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        """Reads the headers alone. Raises Fault for what is no tar file, or cut off."""
        self._file = file
        self._where = where
        self._end = os.fstat(file.fileno()).st_size
        self.places: dict[str, Place] = {}
        self.strange = ""
        self._scan()

    def read(self, name: str, most: int) -> bytes | None:
        """A small file whole; None if there is none. Raises Fault for one of more than ``most`` bytes."""
        place = self.places.get(name)
        if place is None:
            return None
        if place.size > most:
            raise Fault(f"{name} in {self._where} has {place.size} bytes; at most {most} are read.")
        return b"".join(self.pieces(name, 0, place.size))

    def pieces(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a file that is there. Raises Fault if they cannot be read."""
        place = self.places[name]
        at, left = place.offset + start, stop - start
        while left:
            try:
                piece = os.pread(self._file.fileno(), min(left, _PIECE_BYTES), at)
            except OSError as error:
                raise Fault(f"{self._where} cannot be read: {error.strerror}.") from error
            if not piece:
                raise Fault(f"{self._where} became shorter while it was read.")
            yield piece
            at += len(piece)
            left -= len(piece)

    # --- headers -----------------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        at, name, size, seen = 0, "", -1, 0
        while True:
            head = os.pread(self._file.fileno(), _BLOCK, at)
            if head.count(0) == len(head):
                break  # two empty blocks end it, and the end of the file does as well
            self._whole(head)
            seen += 1
            if seen > _ENTRIES_MAX:
                raise Fault(f"{self._where} holds more than {_ENTRIES_MAX} files, which is more than an image has.")
            kind, said = head[156:157], _number(head[124:136])
            if said is None or said < 0:
                raise Fault(f"{self._where} is damaged: a size in it is no number.")
            length = size if size >= 0 and kind in _FILE else said
            if at + _BLOCK + length > self._end:
                raise Fault(
                    f"{self._where} is cut off, or a size in it lies: a file of {length} bytes begins at byte "
                    f"{at + _BLOCK} of {self._end}."
                )
            if kind in (b"x", b"L"):
                name, size = self._extra(kind, at + _BLOCK, length, name, size)
            elif kind != b"g":
                self._take(kind, name or _name(head), Place(at + _BLOCK, length), head)
                name, size = "", -1
            at += _BLOCK + -(-length // _BLOCK) * _BLOCK

    def _whole(self, head: bytes) -> None:
        said = _number(head[148:156])
        if len(head) < _BLOCK or said is None or sum(head[:148]) + sum(head[156:]) + 8 * 32 != said:
            what = "compressed: unpack it first, with gunzip or zstd -d" if _packed(head) else "no tar file, or damaged"
            raise Fault(f"{self._where} is {what}.")

    def _extra(self, kind: bytes, offset: int, length: int, name: str, size: int) -> tuple[str, int]:
        """Name and size of the next file, as far as a header of its own gives them."""
        if length > _EXTRA_BYTES_MAX:
            raise Fault(f"{self._where} is damaged: a name in it has {length} bytes.")
        data = os.pread(self._file.fileno(), length, offset)
        if kind == b"L":
            return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape"), size
        for key, value in self._pairs(data):
            if key == b"path":
                name = value.decode("utf-8", "surrogateescape")
            elif key == b"size":
                if not value.isdigit() or len(value) > 19:
                    raise Fault(f"{self._where} is damaged: a size in it is no number.")
                size = int(value)
            elif key.startswith(b"GNU.sparse"):
                self.strange = self.strange or "a file with holes"
        return name, size

    def _pairs(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """``LENGTH KEY=VALUE\\n``, one behind the other."""
        while data:
            digits, space, _ = data[:24].partition(b" ")
            length = int(digits) if digits.isdigit() else 0
            line = data[len(digits) + 1 : length]
            key, equals, value = line.partition(b"=")
            if not space or not equals or not line.endswith(b"\n") or length > len(data):
                raise Fault(f"{self._where} is damaged: an extended header in it cannot be read.")
            yield key, value[:-1]
            data = data[length:]

    def _take(self, kind: bytes, name: str, place: Place, head: bytes) -> None:
        shown = name if name.isprintable() else repr(name)[1:-1]
        parts = name.removeprefix("./").rstrip("/").split("/")
        if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
            self.strange = self.strange or f"`{shown}`, a name that leads out of it"
        elif kind in _KINDS:
            self.strange = self.strange or f"`{shown}`, which is {_KINDS[kind]}"
        elif kind == _FOLDER or (name.endswith("/") and kind in _FILE):
            return
        elif kind not in _FILE:
            self.strange = self.strange or f"`{shown}`, a kind of file that images do not have"
        elif (clean := "/".join(part for part in parts if part not in ("", "."))) in self.places:
            self.strange = self.strange or f"`{shown}` twice"
        else:
            self.places[clean] = place


def _number(field: bytes) -> int | None:
    """Octal digits, or GNU's binary form for what does not fit."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:])
    text = field.split(b"\0", 1)[0].strip(b" ")
    if not text:
        return 0
    return int(text, 8) if set(text) <= set(b"01234567") else None


def _name(head: bytes) -> str:
    name = head[:100].split(b"\0", 1)[0]
    prefix = head[345:500].split(b"\0", 1)[0] if head[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _packed(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b" or head[:4] == b"\x28\xb5\x2f\xfd" or head[:3] == b"BZh" or head[:5] == b"\xfd7zXZ"
