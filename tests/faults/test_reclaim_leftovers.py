"""What crashes leave behind: idle uploads, files without rows, bytes that a cached manifest waits for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead.adapters.system import SystemClock
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Worked
from pierhead.jobs.reap_uploads import ReapUploads
from pierhead.jobs.scrub import CheckDatabase, Scrub
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import UploadRow
from tests.contracts.rows import DAY, HOUR, IMAGE, SECOND, HandClock, cache_manifest, shelf
from tests.races.registry import Registry, registry

LARGE = b"large " * 10_000


@pytest.fixture
def clock() -> HandClock:
    """Files carry the machine's own time, so this begins there."""
    return HandClock(SystemClock().now())


@pytest.fixture
async def on(tmp_path: Path, clock: HandClock) -> AsyncIterator[Registry]:
    async with registry(tmp_path, clock, lease=DAY, quarantine=HOUR) as opened:
        yield opened


def reaper(on: Registry, clock: HandClock, batch: int = 500) -> ReapUploads:
    return ReapUploads(on.store, on.blobs, clock, "one", DAY, on.hosted.parts.sessions, batch=batch)


async def begin(on: Registry, clock: HandClock, number: int, *, file: bool = True) -> str:
    upload = f"{number:032x}"
    row = UploadRow(upload, on.hosted.row_id, IMAGE, "ann", "sha256", clock.now(), None)
    await on.store.write(lambda tx: tx.uploads.open(row))
    if file:
        await write(on, upload)
    return upload


async def write(on: Registry, upload: str) -> None:
    incoming = await on.blobs.begin(upload, "sha256")
    await incoming.append([b"so far"])
    await incoming.keep()


def written(on: Registry, upload: str, at: int) -> None:
    path = on.blobs.ground.layout.upload(upload)
    os.utime(path, ns=(at * 1000, at * 1000))


async def test_a_session_goes_when_it_was_begun_and_written_to_too_long_ago(on: Registry, clock: HandClock) -> None:
    idle, empty, busy = [await begin(on, clock, number, file=number != 2) for number in (1, 2, 3)]
    assert await reaper(on, clock)() == Idle()
    clock.advance(DAY + HOUR)
    young = await begin(on, clock, 4)
    for upload in (busy, young):
        written(on, upload, clock.now() - HOUR)
    assert await reaper(on, clock)() == Worked("2 idle uploads forgotten, 1 files deleted")
    for upload in (idle, empty):
        assert await on.store.lookups.upload(upload) is None
        assert on.blobs.held(upload) is None
    for upload in (busy, young):
        assert await on.store.lookups.upload(upload) is not None
        assert on.blobs.held(upload) == 6
    assert await reaper(on, clock)() == Idle()
    clock.advance(DAY + SECOND)
    assert await reaper(on, clock)() == Worked("2 idle uploads forgotten, 2 files deleted")


async def test_sessions_that_are_written_to_do_not_stand_in_the_way_of_idle_ones(
    on: Registry, clock: HandClock
) -> None:
    busy = [await begin(on, clock, number) for number in range(4)]
    clock.advance(SECOND)
    idle = await begin(on, clock, 9)
    clock.advance(DAY + HOUR)
    for upload in busy:
        written(on, upload, clock.now())
    reap = reaper(on, clock, batch=2)
    while isinstance(outcome := await reap(), Worked) and outcome.more:
        pass
    await reap()
    assert await on.store.lookups.upload(idle) is None
    assert [on.blobs.held(upload) for upload in busy] == [6] * 4


async def test_an_upload_that_somebody_writes_to_just_now_keeps_its_bytes(on: Registry, clock: HandClock) -> None:
    upload = await begin(on, clock, 1)
    incoming = await on.blobs.resume(upload, "sha256")
    clock.advance(2 * DAY)
    await reaper(on, clock)()
    await incoming.append([b" and more"])
    assert on.blobs.held(upload) == 15
    await incoming.keep()


async def test_a_file_without_a_session_goes_after_the_same_time(on: Registry, clock: HandClock) -> None:
    await write(on, "a" * 32)
    assert await reaper(on, clock)() == Idle()
    clock.advance(DAY + HOUR)
    assert await reaper(on, clock)() == Worked("0 idle uploads forgotten, 1 files deleted")
    assert on.blobs.held("a" * 32) is None


async def test_what_an_ended_session_ended_with_is_remembered_for_a_while(on: Registry, clock: HandClock) -> None:
    upload = await begin(on, clock, 1, file=False)
    await on.store.write(lambda tx: tx.uploads.end(upload, Digest.of(LARGE)))
    clock.advance(DAY - HOUR)
    await reaper(on, clock)()
    row = await on.store.lookups.upload(upload)
    assert row is not None
    assert row.ended == Digest.of(LARGE)
    clock.advance(2 * HOUR)
    await reaper(on, clock)()
    assert await on.store.lookups.upload(upload) is None


async def orphan(on: Registry, body: bytes = LARGE) -> Digest:
    """Bytes land, and the process ends before their row is committed."""
    incoming = await on.blobs.begin(os.urandom(16).hex(), "sha256")
    await incoming.append([body])
    return (await incoming.land(Digest.of(body))).digest


async def test_bytes_without_a_row_are_left_alone_for_a_day_and_then_deleted(on: Registry, clock: HandClock) -> None:
    named = await on.push_blob("app", LARGE + b"named")
    await orphan(on)
    scrub = Scrub(on.store, on.blobs, clock, "one")
    clock.advance(DAY - HOUR)
    assert await scrub() == Idle()
    clock.advance(2 * HOUR)
    assert await scrub() == Worked("1 files without a row deleted, 0 adopted")
    assert {digest for digest, _ in await on.files()} == {named}


async def test_bytes_that_were_uploaded_long_before_they_landed_are_as_young_as_their_landing(
    on: Registry, clock: HandClock
) -> None:
    """A session may lie still for hours before it is ended; its row is about to be committed just now."""
    upload = "b" * 32
    incoming = await on.blobs.begin(upload, "sha256")
    await incoming.append([LARGE])
    await incoming.keep()
    written(on, upload, clock.now() - 30 * DAY)
    incoming = await on.blobs.resume(upload, "sha256")
    landed = await incoming.land(Digest.of(LARGE))
    assert await Scrub(on.store, on.blobs, clock, "one")() == Idle()
    assert await on.files() == {(landed.digest, landed.generation)}


@pytest.mark.parametrize("damaged", [False, True])
async def test_bytes_that_a_cached_manifest_waits_for_are_adopted_if_they_are_still_right(
    on: Registry, clock: HandClock, damaged: bool
) -> None:
    digest = await orphan(on)

    at = await shelf(on.store)

    def cache(tx: Tx) -> None:
        cache_manifest(tx, at, LARGE)
        tx.blobs.link(tx.images.ensure(on.hosted.row_id, IMAGE), [row.id for row in tx.blobs.rows([digest]).values()])

    await on.store.write(cache)
    if damaged:
        ((_, generation),) = await on.files()
        path = on.blobs.ground.layout.blob(digest, generation)
        os.chmod(path, 0o600)
        await asyncio.to_thread(Path(path).write_bytes, LARGE.replace(b"large", b"other"))
    clock.advance(DAY + HOUR)
    outcome = await Scrub(on.store, on.blobs, clock, "one")()
    if damaged:
        assert outcome == Worked("1 files without a row deleted, 0 adopted")
        assert await on.files() == set()
    else:
        assert outcome == Worked("0 files without a row deleted, 1 adopted")
        assert await on.read_blob(IMAGE, digest) == LARGE


async def test_the_check_of_a_whole_database_finds_nothing(on: Registry) -> None:
    await on.push_image("app", "1.0", LARGE)
    assert await CheckDatabase(on.store, "one")() == Idle()
    assert await CheckDatabase(on.store, "two")() == Idle()


async def test_a_damaged_database_is_told_and_takes_no_more_writes(tmp_path: Path, clock: HandClock) -> None:
    async with registry(tmp_path, clock, lease=DAY, quarantine=HOUR) as on:
        for number in range(20):
            await on.push_image("app", f"t{number}", b"small %d" % number * 500)
    file = tmp_path / "pierhead.db"
    content = await asyncio.to_thread(file.read_bytes)
    half = len(content) // 8192 * 4096
    await asyncio.to_thread(file.write_bytes, content[:half] + b"\xff" * 4096 + content[half + 4096 :])
    async with registry(tmp_path, clock, lease=DAY, quarantine=HOUR) as on:
        outcome = await CheckDatabase(on.store, "one")()
        assert isinstance(outcome, Failed)
        assert "damaged" in outcome.why
        with pytest.raises(Unavailable):
            await on.push_blob("app", LARGE)
