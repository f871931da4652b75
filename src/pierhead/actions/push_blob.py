"""Uploads: begun, continued, ended, asked about, given up; and blobs that come in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from pierhead.commits.blob import Place
from pierhead.commits.upload import cancel_upload, may_open, open_upload, save_uploads
from pierhead.domain import limits
from pierhead.domain.access import Grant
from pierhead.domain.digest import Digest
from pierhead.domain.ranges import check_chunk
from pierhead.domain.refusals import BlobTooLarge, DigestMismatch, SizeInvalid, UploadRangeWrong, UploadUnknown
from pierhead.ports.blobs import Incoming, StoreFailed, UploadBusy, UploadMissing
from pierhead.ports.metadata.values import UploadRow
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.landing import land

Pieces = Callable[[], Awaitable[list[bytes]]]
"""Gives the next pieces of a body, none at its end."""
Pour = Callable[[Incoming], Awaitable[None]]
"""Has the rest of a body drawn; ``Pieces`` has what it leaves."""


class Chunk(Struct, frozen=True):
    """A body and what its headers say of it: ``length`` in bytes (None if chunked), ``content_range`` as it came.

    ``pour`` is the cheap way to a long body, where there is one.
    """

    pieces: Pieces
    length: int | None
    content_range: str | None
    pour: Pour | None = None


async def begin_upload(hosted: Hosted, grant: Grant, algorithm: str) -> str:
    """Opens a session and returns its id. Raises RepositoryReadOnly, TooManyUploads.

    A process that is alone makes no row of it before it has to; see ``repositories/sessions``.
    """
    parts = hosted.parts
    upload = parts.entropy.token(16).hex()
    row = UploadRow(upload, hosted.row_id, grant.image, grant.principal.name, algorithm, parts.clock.now(), None)
    most, sessions = parts.uploads_per_account, parts.sessions
    if sessions.alone:
        policy, count = await parts.store.lookups.opening(hosted.row_id, row.account)
        may_open(policy, count + sessions.count(row.account), row, hosted.name, most)
        sessions.begin(row)
    else:
        await parts.store.write(lambda tx: open_upload(tx, row, hosted.name, most), durable=False, brief=True)
    return upload


async def push_whole(hosted: Hosted, grant: Grant, digest: Digest, chunk: Chunk) -> None:
    """A blob in one request. Raises DigestMismatch, BlobTooLarge, RepositoryReadOnly; then nothing is left of it."""
    parts = hosted.parts
    _fits(chunk.length or 0, parts.blob_bytes_max)
    incoming = await parts.blobs.begin(parts.entropy.token(16).hex(), digest.algorithm, chunk.length)
    try:
        await _receive(incoming, chunk, None, parts.blob_bytes_max)
    except BaseException:
        await incoming.discard()
        raise
    await land(incoming, digest, _place(hosted, grant, None), parts.store, parts.blobs)


async def append_chunk(hosted: Hosted, grant: Grant, upload: str, chunk: Chunk) -> int:
    """Adds to a session and returns how many bytes it holds then. What came before a broken connection is kept.

    Raises UploadUnknown, UploadRangeWrong, ContentRangeInvalid, SizeInvalid, BlobTooLarge.
    """
    row = await _session(hosted, grant, upload)
    incoming = await _taken(hosted, row, chunk)
    size = incoming.size
    await _keep(hosted, incoming, upload)
    return size


async def finish_upload(hosted: Hosted, grant: Grant, upload: str, digest: Digest, chunk: Chunk) -> None:
    """Takes the last bytes, compares, and makes a blob of the session.

    The same request again, after its answer was lost, is answered again. Raises what ``append_chunk`` raises, and
    DigestMismatch, which ends the session.
    """
    row = await _session(hosted, grant, upload, ended=True)
    if row.ended is not None:
        if row.ended == digest:
            return
        raise UploadUnknown
    incoming = await _taken(hosted, row, chunk)
    sessions = hosted.parts.sessions
    place = _place(hosted, grant, upload, sessions.find(upload))
    try:
        await land(incoming, digest, place, hosted.parts.store, hosted.parts.blobs)
        sessions.take(upload)
    except DigestMismatch:
        if await _cancelled(hosted, upload):
            raise
        await _ended_by_another(hosted, grant, upload, digest)
    except UploadUnknown:
        sessions.take(upload)
        await _ended_by_another(hosted, grant, upload, digest)


async def _ended_by_another(hosted: Hosted, grant: Grant, upload: str, digest: Digest) -> None:
    """The same request, sent twice at once: the other one has ended the session meanwhile, and had its bytes.

    Raises UploadUnknown if it did not end with this digest.
    """
    if (await _session(hosted, grant, upload, ended=True)).ended != digest:
        raise UploadUnknown


async def upload_offset(hosted: Hosted, grant: Grant, upload: str) -> int:
    """How many bytes the session holds. Raises UploadUnknown."""
    await _session(hosted, grant, upload)
    return hosted.parts.blobs.held(upload) or 0


async def abandon_upload(hosted: Hosted, grant: Grant, upload: str) -> None:
    """Forgets the session and its bytes. Raises UploadUnknown."""
    await _session(hosted, grant, upload)
    if not await _cancelled(hosted, upload):
        raise UploadUnknown
    try:
        await hosted.parts.blobs.drop(upload)
    except UploadBusy:
        return  # somebody writes to it still; what is left without a row is reaped


async def _session(hosted: Hosted, grant: Grant, upload: str, *, ended: bool = False) -> UploadRow:
    """A session is bound to repository, image and account: another's is not there (CVE-2026-32589 was this)."""
    if len(upload) != 32 or not upload.isalnum() or not upload.isascii():
        raise UploadUnknown
    row = hosted.parts.sessions.find(upload) or await hosted.parts.store.lookups.upload(upload)
    if (
        row is None
        or row.repository != hosted.row_id
        or row.image != grant.image
        or row.account != grant.principal.name
        or (row.ended is not None and not ended)
    ):
        raise UploadUnknown
    return row


async def _saved(hosted: Hosted, upload: str) -> None:
    """A session whose bytes get a file has a row, or the file would be nobody's after a restart."""
    row = hosted.parts.sessions.find(upload)
    if row is not None:
        await hosted.parts.store.write(lambda tx: save_uploads(tx, [row]), durable=False, brief=True)
        hosted.parts.sessions.take(upload)


async def _cancelled(hosted: Hosted, upload: str) -> bool:
    """Forgets a session; False if it was not open."""
    if hosted.parts.sessions.take(upload) is not None:
        return True
    return await hosted.parts.store.write(lambda tx: cancel_upload(tx, upload), durable=False, brief=True)


async def _open(hosted: Hosted, row: UploadRow, chunk: Chunk) -> Incoming:
    blobs = hosted.parts.blobs
    try:
        # What has no row has no file.
        if hosted.parts.sessions.find(row.id) is not None or blobs.held(row.id) is None:
            return await blobs.begin(row.id, row.algorithm, chunk.length)
        return await blobs.resume(row.id, row.algorithm)
    except UploadMissing:
        return await blobs.begin(row.id, row.algorithm, chunk.length)
    except UploadBusy as busy:
        why = "Another request is writing to it just now."
        raise UploadRangeWrong(blobs.held(row.id) or 0, row.id, why) from busy


async def _taken(hosted: Hosted, row: UploadRow, chunk: Chunk) -> Incoming:
    """The session with the chunk behind what it held. If that fails the session keeps what came and goes on."""
    if chunk.length is None or chunk.length > limits.BLOB_INLINE_BYTES_MAX:
        await _saved(hosted, row.id)
    incoming = await _open(hosted, row, chunk)
    most = hosted.parts.blob_bytes_max
    try:
        said = check_chunk(chunk.content_range, chunk.length, incoming.size, row.id)
        _fits(incoming.size + (said or 0), most)
        await _receive(incoming, chunk, said, most)
    except BlobTooLarge:
        await _give_up(hosted, incoming, row.id)
        raise
    except StoreFailed:
        raise  # nothing can be kept
    except BaseException:
        await _keep(hosted, incoming, row.id)
        raise
    return incoming


class _Batches:
    """The body in batches that are worth handing to a thread. What came before a break is given, then the break."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._broken: Exception | None = None

    async def next(self) -> list[bytes]:
        """Empty at the end. Raises what the pieces raise."""
        if self._broken is not None:
            raise self._broken
        batch = await self._pieces()
        size = sum(map(len, batch))
        while batch and size < limits.CHUNK_BATCH_BYTES:
            try:
                more = await self._pieces()
            except Exception as broken:
                self._broken = broken
                break
            if not more:
                break
            batch += more
            size += sum(map(len, more))
        return batch


async def _receive(incoming: Incoming, chunk: Chunk, said: int | None, most: int) -> None:
    """Writes the body. Raises BlobTooLarge, and SizeInvalid for a stream of another length than its range ``said``."""
    if chunk.length is not None and chunk.length <= limits.BLOB_INLINE_BYTES_MAX:
        await _receive_small(incoming, chunk, chunk.length)
        return
    start = incoming.size
    writing: asyncio.Task[None] | None = None
    batches = _Batches(chunk.pieces)
    try:
        # A length that was told has been judged.
        if chunk.pour is not None and (chunk.length or 0) >= limits.DRAW_BYTES_MIN:
            await chunk.pour(incoming)
        size = incoming.size
        while batch := await batches.next():
            size += sum(map(len, batch))
            if writing is not None:
                await writing
            _fits(size, most)
            if said is not None and size - start > said:
                raise SizeInvalid(said, size - start)
            # The next batch is read while this one is hashed and written.
            writing = asyncio.create_task(incoming.append(batch))
    finally:
        if writing is not None:
            await writing
    if said is not None and incoming.size - start != said:
        raise SizeInvalid(said, incoming.size - start)


async def _receive_small(incoming: Incoming, chunk: Chunk, length: int) -> None:
    """A body that one piece holds as a rule is not worth a task, nor asking once more to hear that it is over."""
    while length > 0:
        pieces = await chunk.pieces()
        length -= sum(map(len, pieces))
        await incoming.append(pieces)
        if not pieces:
            break


async def _keep(hosted: Hosted, incoming: Incoming, upload: str) -> None:
    """Raises UploadRangeWrong if two small chunks began at once and the other one was quicker: the first stands."""
    await _saved(hosted, upload)
    try:
        await incoming.keep()
    except StoreFailed as failure:
        held = hosted.parts.blobs.held(upload)
        if held is None or failure.full:
            raise
        raise UploadRangeWrong(held, upload, "Another request has written to it meanwhile.") from None


async def _give_up(hosted: Hosted, incoming: Incoming, upload: str) -> None:
    await incoming.discard()
    await _cancelled(hosted, upload)


def _fits(size: int, most: int) -> None:
    if size > most:
        raise BlobTooLarge(most)


def _place(hosted: Hosted, grant: Grant, upload: str | None, unsaved: UploadRow | None = None) -> Place:
    return Place(hosted.row_id, hosted.name, grant.image, hosted.parts.lease, upload, unsaved=unsaved)
