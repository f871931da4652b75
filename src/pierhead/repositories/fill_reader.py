"""One client who reads along with a fill. Implements ``repositories.kind.BlobSource``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, Protocol

from pierhead.domain import limits
from pierhead.domain.refusals import Unavailable
from pierhead.ports.blobs import SendBytes, SendFile
from pierhead.ports.fills import FillTail

if TYPE_CHECKING:
    from pierhead.repositories.fill import Fill

_PAUSE_SECONDS: Final = 0.01


class _Bytes(Protocol):
    async def read(self, offset: int, most: int) -> bytes: ...
    def close(self) -> None: ...


class FillReader:
    """Gives out bytes as they come, and the last 64 KiB when the digest of all of them is right."""

    def __init__(self, fill: Fill, tail: FillTail, size: int) -> None:
        self._fill = fill
        self._tail = tail
        self._from: _Bytes = tail
        self._size = size
        fill.count(1)

    def __del__(self) -> None:
        """A client who goes away, or never came back for the bytes, is not counted any more."""
        self._from.close()
        self._fill.count(-1)

    @property
    def size(self) -> int:
        """Of the whole blob, in bytes."""
        return self._size

    async def pieces(self, start: int, count: int) -> AsyncIterator[bytes]:
        """See the protocol. Raises Unavailable, before or amid the bytes, and the connection has to be cut then."""
        offset, end = start, start + count
        safe = self._size - limits.FILL_WITHHELD_BYTES
        verified = False
        while offset < end:
            if offset >= safe and not verified:
                await self._verify()
                verified = True
            most = min(limits.FILL_PIECE_BYTES, (end if verified else min(end, safe)) - offset)
            piece = await self._from.read(offset, most)
            if piece:
                offset += len(piece)
                yield piece
            else:
                await self._change_over(start, offset)

    async def _verify(self) -> None:
        """Waits until the digest was right. That the row could not be written afterwards is no harm to this client."""
        try:
            found = await self._fill.result()
        except Unavailable:
            if await self._tail.end() != "landed":
                raise
            return
        if not found:
            raise self._gone()

    async def _change_over(self, start: int, offset: int) -> None:
        """The leader died, another begins anew: goes on with his bytes, if those given out so far are the same."""
        old, new = self._from, await self._next()
        self._from = new
        try:
            while start < offset:
                most = min(limits.FILL_PIECE_BYTES, offset - start)
                there, here = await old.read(start, most), b""
                while there and len(here) < len(there):
                    more = await new.read(start + len(here), len(there) - len(here))
                    if not more:
                        break
                    here += more
                if not there or here != there:
                    raise self._gone()
                start += len(there)
        finally:
            old.close()

    async def _next(self) -> _Bytes:
        fill = self._fill
        while not fill.task.done():
            tail = await fill.fills.fills.follow(fill.wanted.digest)
            if tail is not None:
                self._tail = tail
                return tail
            await asyncio.sleep(_PAUSE_SECONDS)
        if not await fill.result():
            raise self._gone()
        return await self._stored()

    async def _stored(self) -> _Bytes:
        """The fill has ended in between, and its bytes have to be read where they are kept."""
        place, digest = self._fill.wanted.place, self._fill.wanted.digest
        hit = await self._fill.fills.store.lookups.blob((place.repository,), place.image, digest)
        if hit is None:
            raise self._gone()
        delivery = self._fill.fills.blobs.open(digest, hit[1].generation, hit[1].size)
        if hit[1].body is not None:
            delivery = SendBytes(hit[1].body)
        return _Stored(delivery)

    def _gone(self) -> Unavailable:
        return Unavailable(f"The fetch of {self._fill.wanted.digest} was interrupted. Ask again.")


class _Stored:
    """A stored blob, read piece by piece."""

    def __init__(self, delivery: SendBytes | SendFile) -> None:
        self._body = delivery.body if isinstance(delivery, SendBytes) else b""
        self._file = -1 if isinstance(delivery, SendBytes) else os.open(delivery.path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        self.close()

    async def read(self, offset: int, most: int) -> bytes:
        if self._file < 0:
            return self._body[offset : offset + most]
        return await asyncio.to_thread(os.pread, self._file, most, offset)

    def close(self) -> None:
        handle, self._file = self._file, -1
        if handle >= 0:
            os.close(handle)


class NothingToSend:
    """The source of a blob that was only asked about. Implements ``repositories.kind.BlobSource``."""

    async def pieces(self, start: int, count: int) -> AsyncIterator[bytes]:
        """None."""
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece
