"""Upload sessions that have no row until something has to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pierhead.actions.push_blob import (
    Chunk,
    abandon_upload,
    append_chunk,
    begin_upload,
    finish_upload,
    upload_offset,
)
from pierhead.domain import limits
from pierhead.domain.access import Right, require
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import DigestMismatch, RepositoryReadOnly, TooManyUploads, UploadUnknown
from pierhead.jobs.loop import Idle, Worked
from pierhead.jobs.reap_uploads import ReapUploads
from pierhead.ports.metadata.values import RepositoryId, UploadRow
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.sessions import Sessions
from tests.contracts.upstream import ShiftedClock
from tests.races.registry import ADMIN, Registry, registry

BODY = b"a small blob"
LARGE = bytes(limits.BLOB_INLINE_BYTES_MAX + 1)


class Pushing:
    """One image of a repository, and requests to its uploads."""

    def __init__(self, on: Registry, clock: ShiftedClock) -> None:
        self.on = on
        self.clock = clock
        self.hosted = on.hosted
        self.grant = require(ADMIN, Right.PUSH, on.hosted.name, ImageName("team/app"))

    @property
    def sessions(self) -> Sessions:
        return self.hosted.parts.sessions

    def rows(self) -> int:
        found = self.on.store.lookups._connection.execute("SELECT count(*) FROM uploads").get
        assert isinstance(found, int)
        return found

    async def begin(self) -> str:
        return await begin_upload(self.hosted, self.grant, "sha256")

    async def append(self, upload: str, body: bytes) -> int:
        return await append_chunk(self.hosted, self.grant, upload, chunk(body))

    async def finish(self, upload: str, body: bytes, whole: bytes | None = None) -> None:
        digest = Digest.of(body if whole is None else whole)
        await finish_upload(self.hosted, self.grant, upload, digest, chunk(body))


def chunk(*pieces: bytes, length: int | None = None) -> Chunk:
    """A body that breaks where it is shorter than ``length``."""
    rest, said = list(pieces), sum(map(len, pieces)) if length is None else length

    async def give() -> list[bytes]:
        if not rest and length is not None:
            raise ConnectionError
        return [rest.pop(0)] if rest else []

    return Chunk(give, said, None)


@pytest.fixture
async def pushing(tmp_path: Path) -> AsyncIterator[Pushing]:
    clock = ShiftedClock()
    async with registry(tmp_path / "data", clock, lease=10**12, quarantine=10**9) as on:
        yield Pushing(on, clock)


async def test_a_session_gets_its_row_when_it_ends_and_its_answer_can_be_had_again(pushing: Pushing) -> None:
    upload = await pushing.begin()
    assert pushing.rows() == 0
    assert await upload_offset(pushing.hosted, pushing.grant, upload) == 0
    await pushing.finish(upload, BODY)
    assert (pushing.rows(), pushing.sessions.find(upload)) == (1, None)
    assert await pushing.on.read_blob("team/app", Digest.of(BODY)) == BODY
    await pushing.finish(upload, BODY)
    with pytest.raises(UploadUnknown):
        await pushing.finish(upload, b"other bytes")


async def test_the_same_end_sent_twice_at_once_is_answered_twice(pushing: Pushing) -> None:
    upload = await pushing.begin()
    await asyncio.gather(*(pushing.finish(upload, BODY) for _ in range(8)))
    assert pushing.rows() == 1


async def test_an_end_that_comes_too_late_for_the_bytes_is_answered_as_the_one_before(pushing: Pushing) -> None:
    upload = await pushing.begin()

    async def overtaken() -> list[bytes]:
        await pushing.finish(upload, BODY)
        return [b"!"]

    late = Chunk(overtaken, 1, None)
    await finish_upload(pushing.hosted, pushing.grant, upload, Digest.of(BODY), late)
    assert await pushing.on.read_blob("team/app", Digest.of(BODY)) == BODY
    upload = await pushing.begin()
    with pytest.raises(UploadUnknown):
        await finish_upload(pushing.hosted, pushing.grant, upload, Digest.of(b"another"), late)


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
async def test_a_session_with_bytes_has_a_row(pushing: Pushing, body: bytes) -> None:
    upload = await pushing.begin()
    assert await pushing.append(upload, body) == len(body)
    assert (pushing.rows(), pushing.sessions.find(upload)) == (1, None)
    await pushing.finish(upload, b"", body)
    assert pushing.rows() == 1


async def test_what_came_of_a_small_body_before_a_break_is_kept_with_a_row(pushing: Pushing) -> None:
    upload = await pushing.begin()
    with pytest.raises(ConnectionError):
        await append_chunk(pushing.hosted, pushing.grant, upload, chunk(BODY, length=100))
    assert pushing.rows() == 1
    assert await upload_offset(pushing.hosted, pushing.grant, upload) == len(BODY)


async def test_a_wrong_digest_and_a_cancellation_end_it(pushing: Pushing) -> None:
    wrong, cancelled = await pushing.begin(), await pushing.begin()
    with pytest.raises(DigestMismatch):
        await pushing.finish(wrong, BODY, b"what was announced")
    await abandon_upload(pushing.hosted, pushing.grant, cancelled)
    for upload in (wrong, cancelled):
        with pytest.raises(UploadUnknown):
            await upload_offset(pushing.hosted, pushing.grant, upload)
    assert pushing.rows() == 0


async def test_it_counts_for_its_account_until_it_ends(pushing: Pushing) -> None:
    parts = replace(pushing.hosted.parts, uploads_per_account=3)
    pushing.hosted = Hosted(pushing.hosted.name, pushing.hosted.row_id, parts)
    kept = await pushing.begin()
    await pushing.append(kept, BODY)
    opened = [await pushing.begin() for _ in range(2)]
    with pytest.raises(TooManyUploads):
        await pushing.begin()
    await pushing.finish(opened[0], BODY)
    assert await pushing.begin()


async def test_none_is_begun_where_nothing_may_be_written(pushing: Pushing) -> None:
    name = RepositoryName("dev")
    await pushing.on.store.write(lambda tx: tx.repositories.ensure(name, "hosted", WritePolicy.DENY))
    with pytest.raises(RepositoryReadOnly):
        await pushing.begin()


async def test_a_policy_that_changes_in_the_midst_is_heard(pushing: Pushing) -> None:
    upload = await pushing.begin()
    name = RepositoryName("dev")
    await pushing.on.store.write(lambda tx: tx.repositories.ensure(name, "hosted", WritePolicy.DENY))
    with pytest.raises(RepositoryReadOnly):
        await pushing.finish(upload, BODY)


async def test_idle_ones_are_forgotten(pushing: Pushing) -> None:
    old = await pushing.begin()
    pushing.clock.shift += 61
    await pushing.begin()
    on, sessions = pushing.on, pushing.sessions
    assert len(sessions) == 2
    reap = ReapUploads(on.store, on.blobs, pushing.clock, "one", 60_000_000, sessions)
    assert await reap() == Worked("1 idle uploads forgotten, 0 files deleted")
    assert await reap() == Idle()
    with pytest.raises(UploadUnknown):
        await pushing.finish(old, BODY)
    assert pushing.sessions.count("ann") == 1


async def test_with_several_workers_the_row_is_made_at_once(pushing: Pushing) -> None:
    parts = replace(pushing.hosted.parts, sessions=Sessions(alone=False))
    pushing.hosted = Hosted(pushing.hosted.name, pushing.hosted.row_id, parts)
    upload = await pushing.begin()
    assert pushing.rows() == 1
    await pushing.finish(upload, BODY)


def test_all_can_be_taken_at_the_end() -> None:
    sessions = Sessions(alone=True)
    rows = [UploadRow(f"{n:032x}", RepositoryId(1), ImageName("a"), "ann", "sha256", n, None) for n in range(3)]
    for row in rows:
        sessions.begin(row)
    assert list(sessions.take_all()) == rows
    assert sessions.count("ann") == 0
