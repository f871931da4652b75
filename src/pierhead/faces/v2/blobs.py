"""GET, HEAD and DELETE of /v2/NAME/blobs/DIGEST, with byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from pierhead.actions.delete_content import delete_blob_link
from pierhead.actions.pull_blob import pull_blob
from pierhead.domain.digest import Digest
from pierhead.domain.ranges import Slice, parse_range
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, BrokenOff, FileSlice, Stream, is_broken
from pierhead.faces.v2.asked import Asked
from pierhead.faces.v2.errors import VERSION
from pierhead.ports.blobs import SendBytes
from pierhead.repositories.kind import ComingBlob, StoredBlob

Doubt = Callable[[Digest], None]

_BYTES: Final = ("Content-Type", "application/octet-stream")
_RANGES: Final = ("Accept-Ranges", "bytes")
_NO_SNIFFING: Final = ("X-Content-Type-Options", "nosniff")
_BOUNDARY: Final = "pierhead-byte-ranges"
_PIECE: Final = 256 * 1024


def getting(doubt: Doubt) -> Callable[[Asked], Awaitable[AnyAnswer]]:
    """GET: the bytes, a range of them, or several. ``doubt`` is told of a blob whose file turns out to be damaged."""

    async def get(asked: Asked) -> AnyAnswer:
        digest = Digest.parse(asked.item)
        found = await pull_blob(asked.table, asked.entry, asked.who, asked.image, digest, head=False)
        ask = asked.ask
        ask.note["member"] = found.member
        headers = _headers(digest)
        if asked.knows(digest):
            return Answer(304, headers)
        wanted = ask.get("Range")
        slices = None
        if wanted is not None and (ask.get("If-Range") or f'"{digest}"') == f'"{digest}"':
            slices = parse_range(wanted, found.size)
        if isinstance(found, ComingBlob):
            return await _coming(ask, found, headers, slices)
        if slices is None:
            return _part(found, 200, headers, 0, found.size, doubt, digest)
        if isinstance(slices, Slice):
            headers.append(_content_range(slices, found.size))
            return _part(found, 206, headers, slices.start, slices.count, doubt, digest)
        return _several(found, headers, slices, partial(doubt, digest))

    return get


async def head(asked: Asked) -> Answer:
    """Length and digest."""
    digest = Digest.parse(asked.item)
    found = await pull_blob(asked.table, asked.entry, asked.who, asked.image, digest, head=True)
    asked.ask.note["member"] = found.member
    if asked.knows(digest):
        return Answer(304, _headers(digest))
    return Answer(200, _headers(digest), length=found.size)


async def delete(asked: Asked) -> Answer:
    """202 when the image has it no more."""
    hosted, grant = asked.for_deletion()
    await delete_blob_link(hosted, grant, Digest.parse(asked.item), asked.circumstances())
    return Answer(202, (VERSION,))


def _headers(digest: Digest) -> list[tuple[str, str]]:
    return [
        VERSION,
        _BYTES,
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        _RANGES,
        _NO_SNIFFING,
    ]


def _content_range(part: Slice, size: int) -> tuple[str, str]:
    return "Content-Range", f"bytes {part.start}-{part.start + part.count - 1}/{size}"


async def _coming(
    ask: Ask, found: ComingBlob, headers: list[tuple[str, str]], slices: Slice | list[Slice] | None
) -> Stream:
    """A blob on its way from an upstream.

    Raises Unavailable, UpstreamLimited if not even the first byte comes: an answer that has begun can only be cut.
    """
    parts = slices if isinstance(slices, list) else [slices or Slice(0, found.size)]
    async for _ in found.source.pieces(parts[0].start, 1):
        pass
    if isinstance(slices, list):
        answer = _several(found, headers, slices, _nothing)
    else:
        if slices is not None:
            headers.append(_content_range(slices, found.size))
        status = 200 if slices is None else 206
        answer = Stream(status, headers, found.source.pieces(parts[0].start, parts[0].count), parts[0].count)
    answer.pieces = _told(ask, answer.pieces)
    return answer


async def _told(ask: Ask, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces; why they end too early goes into the log, since the client cannot be told any more."""
    try:
        async for piece in pieces:
            yield piece
    except (Unavailable, UpstreamLimited) as failure:
        ask.note["unavailable"] = failure.message
        raise BrokenOff from None


def _nothing() -> None:
    pass


def _part(
    found: StoredBlob,
    status: int,
    headers: list[tuple[str, str]],
    start: int,
    count: int,
    doubt: Doubt,
    digest: Digest,
) -> AnyAnswer:
    if isinstance(found.delivery, SendBytes):
        return Answer(status, headers, memoryview(found.delivery.body)[start : start + count])
    return FileSlice(status, headers, found.delivery.path, start, count, doubt, digest)


def _several(
    found: StoredBlob | ComingBlob, headers: list[tuple[str, str]], slices: list[Slice], broken: Callable[[], None]
) -> Stream:
    """multipart/byteranges, which podman's partial pulls ask for."""
    parts: list[tuple[bytes, Slice]] = []
    for one in slices:
        head = (
            f"\r\n--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: bytes {one.start}-{one.start + one.count - 1}/{found.size}\r\n\r\n"
        )
        parts.append((head.encode(), one))
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    length = sum(len(head) + one.count for head, one in parts) + len(end)
    kept = [header for header in headers if header is not _BYTES]
    kept.append(("Content-Type", f"multipart/byteranges; boundary={_BOUNDARY}"))
    return Stream(206, kept, _pieces(found, parts, end, broken), length)


async def _pieces(
    found: StoredBlob | ComingBlob, parts: list[tuple[bytes, Slice]], end: bytes, broken: Callable[[], None]
) -> AsyncIterator[bytes]:
    try:
        for head, one in parts:
            yield head
            async for piece in _read(found, one.start, one.count):
                yield piece
    except (OSError, EOFError) as error:
        if is_broken(error):
            broken()
        raise
    yield end


async def _read(found: StoredBlob | ComingBlob, start: int, count: int) -> AsyncIterator[bytes]:
    if isinstance(found, ComingBlob):
        async for piece in found.source.pieces(start, count):
            yield piece
    elif isinstance(found.delivery, SendBytes):
        yield found.delivery.body[start : start + count]
    else:
        fd = await asyncio.to_thread(os.open, found.delivery.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while count:
                piece = await asyncio.to_thread(os.pread, fd, min(count, _PIECE), start)
                if not piece:
                    raise EOFError("a file is shorter than the slice asked for")
                yield piece
                start += len(piece)
                count -= len(piece)
        finally:
            os.close(fd)
