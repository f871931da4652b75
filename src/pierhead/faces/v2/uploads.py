"""Uploads: POST, PATCH, PUT, GET and DELETE below /v2/NAME/blobs/uploads/."""

from __future__ import annotations

from pierhead.actions.mount_blob import mount_blob
from pierhead.actions.push_blob import (
    Chunk,
    abandon_upload,
    append_chunk,
    begin_upload,
    finish_upload,
    push_whole,
    upload_offset,
)
from pierhead.domain.digest import ALGORITHMS, Digest
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import DigestUnsupported, NameInvalid, UploadRangeWrong
from pierhead.faces.door.ask import Answer
from pierhead.faces.v2.asked import Asked
from pierhead.faces.v2.errors import VERSION, refused
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.hosted import Hosted


async def begin(asked: Asked) -> Answer:
    """A mount if it can be had, a whole blob if it came along, otherwise a session."""
    hosted, grant = asked.for_push()
    asked.refuse_encoding()
    parameters = dict(reversed(asked.parameters()))
    if "mount" in parameters:
        digest = Digest.parse(parameters["mount"])
        if await mount_blob(hosted, grant, digest, _sources(asked, hosted, parameters.get("from"))):
            return _created(asked, digest)
    elif "digest" in parameters:
        digest = asked.the_digest()
        await push_whole(hosted, grant, digest, _chunk(asked))
        return _created(asked, digest)
    algorithm = parameters.get("digest-algorithm", "sha256")
    if algorithm not in ALGORITHMS:
        raise DigestUnsupported(algorithm)
    answer = _accepted(asked, await begin_upload(hosted, grant, algorithm), 0)
    answer.headers = [*answer.headers, *asked.warning()]
    return answer


async def append(asked: Asked) -> Answer:
    """202 with what the session holds now."""
    hosted, grant = asked.for_push()
    asked.refuse_encoding()
    try:
        size = await append_chunk(hosted, grant, asked.item, _chunk(asked))
    except UploadRangeWrong as refusal:
        return _out_of_order(asked, refusal)
    return _accepted(asked, asked.item, size)


async def finish(asked: Asked) -> Answer:
    """201 when the blob is durable."""
    hosted, grant = asked.for_push()
    asked.refuse_encoding()
    digest = asked.the_digest()
    try:
        await finish_upload(hosted, grant, asked.item, digest, _chunk(asked))
    except UploadRangeWrong as refusal:
        return _out_of_order(asked, refusal)
    return _created(asked, digest)


async def status(asked: Asked) -> Answer:
    """204 with what the session holds."""
    hosted, grant = asked.for_push(brings=False)
    answer = _accepted(asked, asked.item, await upload_offset(hosted, grant, asked.item))
    answer.status = 204
    return answer


async def cancel(asked: Asked) -> Answer:
    """204 when the session is forgotten."""
    hosted, grant = asked.for_push(brings=False)
    await abandon_upload(hosted, grant, asked.item)
    return Answer(204, (VERSION,))


def _chunk(asked: Asked) -> Chunk:
    ask = asked.ask
    return Chunk(ask.chunks, ask.length, ask.get("Content-Range"), ask.pour)


def _sources(asked: Asked, target: Hosted, source: str | None) -> list[tuple[RepositoryId, ImageName]]:
    """Images that the account may read and a mount may come from.

    ``from`` names an image of this port; by path, of the repository that it begins with, which may be a group. Without
    ``from``, only the same image of the other repositories is looked at: a search of everything would tell what others
    hold.
    """
    if source is None:
        return [(hosted.row_id, asked.image) for hosted in asked.table.readable_hosted(asked.who, asked.image)]
    try:
        name = ImageName.parse(source)
    except NameInvalid:
        return []
    found: list[tuple[RepositoryId, ImageName]] = []
    if asked.connector.repository is not None:
        readable = asked.table.readable_hosted(asked.who, name)
        here = [target] if asked.entry.kind == "hosted" else readable
        found += [(hosted.row_id, name) for hosted in here if hosted in readable]
    first, rest = name.head()
    entry = asked.table.entries.get(RepositoryName(first))
    if entry is not None and rest:
        image = ImageName(rest)
        found += [(hosted.row_id, image) for hosted in asked.table.hosted_below(entry, asked.who, image)]
    return found


def _created(asked: Asked, digest: Digest) -> Answer:
    return Answer(201, (VERSION, ("Location", f"{asked.path}/blobs/{digest}"), ("Docker-Content-Digest", digest)))


def _accepted(asked: Asked, upload: str, size: int) -> Answer:
    """``Range`` is inclusive, so an empty session looks like one byte: that is what clients expect."""
    return Answer(
        202,
        [
            VERSION,
            ("Location", f"{asked.path}/blobs/uploads/{upload}"),
            ("Range", f"0-{max(size - 1, 0)}"),
            ("Docker-Upload-UUID", upload),
        ],
    )


def _out_of_order(asked: Asked, refusal: UploadRangeWrong) -> Answer:
    where = _accepted(asked, refusal.upload, refusal.offset).headers
    answer = refused(refusal, asked.ask.method)
    answer.headers = [*answer.headers, *where[1:]]  # type: ignore[index]
    return answer
