"""Stored bytes are read again: what the disk forgot is found, taken out of sight, and healed by the next push."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pierhead.adapters.system import SystemClock
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.jobs.loop import Idle, Worked
from pierhead.jobs.verify_blobs import Doubts, VerifyBlobs
from tests.contracts.rows import DAY, HOUR, HandClock
from tests.races.registry import Registry, registry

LARGE = b"large " * 10_000


@pytest.fixture
def clock() -> HandClock:
    return HandClock(SystemClock().now())


@pytest.fixture
async def on(tmp_path: Path, clock: HandClock) -> AsyncIterator[Registry]:
    async with registry(tmp_path, clock, lease=DAY, quarantine=HOUR) as opened:
        yield opened


def verify(on: Registry, clock: HandClock, doubts: Doubts | None = None, most: int = 1 << 30) -> VerifyBlobs:
    return VerifyBlobs(on.store, on.blobs, clock, "one", doubts or Doubts(), period=30 * DAY, most=most)


async def path_of(on: Registry, digest: Digest) -> str:
    row = await on.store.lookups.known(digest)
    assert row is not None
    return on.blobs.ground.layout.blob(digest, row.generation)


def flip(path: str) -> None:
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\0")


def cut(path: str) -> None:
    os.chmod(path, 0o600)
    os.truncate(path, 10)


async def test_what_was_verified_lately_is_not_read_again(on: Registry, clock: HandClock) -> None:
    await on.push_blob("a", LARGE)
    step = verify(on, clock)
    assert isinstance(await step(), Idle)
    clock.advance(31 * DAY)
    assert await step() == Worked("1 blobs read through, 0 of them damaged")
    assert isinstance(await step(), Idle)


@pytest.mark.parametrize(
    ("harm", "why"),
    [(flip, "other bytes"), (cut, "10 bytes instead of"), (os.unlink, "gone")],
    ids=["flipped", "cut", "gone"],
)
async def test_a_damaged_blob_is_missing_until_it_is_pushed_again(
    on: Registry, clock: HandClock, harm: Callable[[str], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    digest = await on.push_blob("team/app", LARGE)
    whole = await on.push_blob("team/app", LARGE + b"other")
    harm(await path_of(on, digest))
    clock.advance(31 * DAY)
    assert await verify(on, clock)() == Worked("2 blobs read through, 1 of them damaged")
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("team/app"), digest) is None
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("team/app"), whole) is not None
    assert why in caplog.text
    assert "dev/team/app" in caplog.text
    assert await on.push_blob("team/app", LARGE) == digest
    found = await on.store.lookups.blob((on.hosted.row_id,), ImageName("team/app"), digest)
    assert found is not None
    assert await on.read_blob("team/app", digest) == LARGE


async def test_a_doubted_blob_is_looked_at_at_once_and_a_sound_one_stays(on: Registry, clock: HandClock) -> None:
    bad, sound = await on.push_blob("a", LARGE), await on.push_blob("a", LARGE + b"2")
    os.unlink(await path_of(on, bad))
    doubts = Doubts()
    doubts.add(bad)
    doubts.add(sound)
    assert await verify(on, clock, doubts)() == Worked("1 blobs read through, 1 of them damaged")
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("a"), bad) is None
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("a"), sound) is not None
    assert not doubts.waiting


async def test_the_walk_goes_on_where_it_stood_and_comes_by_everything(on: Registry, clock: HandClock) -> None:
    digests = [await on.push_blob("a", LARGE + bytes([number])) for number in range(5)]
    clock.advance(31 * DAY)
    flip(await path_of(on, digests[4]))
    for _ in range(6):
        await verify(on, clock, most=1)()  # a new object each time: where it stands is in the database
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("a"), digests[4]) is None


async def test_a_blob_that_got_new_bytes_meanwhile_is_not_lost(on: Registry, clock: HandClock) -> None:
    digest = await on.push_blob("a", LARGE)
    row = await on.store.lookups.known(digest)
    assert row is not None
    assert await on.store.write(lambda tx: tx.blobs.lose(row))
    await on.push_blob("a", LARGE)
    assert not await on.store.write(lambda tx: tx.blobs.lose(row))
    assert await on.store.lookups.blob((on.hosted.row_id,), ImageName("a"), digest) is not None
