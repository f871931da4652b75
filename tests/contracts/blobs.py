"""What every ``BlobStore`` must do. An adapter derives a class and overrides the fixture ``another``."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from pierhead.adapters.system import SystemClock
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import (
    BlobStore,
    Delivery,
    Incoming,
    Landed,
    SendBytes,
    Stored,
    StoreFailed,
    UploadBusy,
    UploadMissing,
)

SMALL = 16 * 1024
"""The inline maximum that the stores under test are given."""

Another = Callable[[], Awaitable[BlobStore]]


def pattern(size: int, seed: int = 0) -> bytes:
    """``size`` bytes that repeat nowhere near and differ by seed."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def upload_id(number: int) -> str:
    return f"{number:032x}"


def whole(delivery: Delivery) -> bytes:
    """All bytes of a delivery, whose size must be right."""
    if isinstance(delivery, SendBytes):
        return delivery.body
    body = Path(delivery.path).read_bytes()
    assert len(body) == delivery.size
    return body


async def land(incoming: Incoming, algorithm: str = "sha256") -> Landed:
    landed = await incoming.land(await incoming.digest(algorithm))
    await incoming.discard()
    return landed


async def push(store: BlobStore, body: bytes, number: int = 1, expected: int | None = None) -> Landed:
    incoming = await store.begin(upload_id(number), "sha256", expected)
    await incoming.append([body])
    return await land(incoming)


def fetch(store: BlobStore, landed: Landed) -> bytes:
    if landed.body is not None:
        return landed.body
    return whole(store.open(landed.digest, landed.generation, landed.size))


async def stored(store: BlobStore) -> list[Stored]:
    return [one async for batch in store.scan() for one in batch]


async def kept(store: BlobStore) -> dict[str, int]:
    return {upload: at async for batch in store.uploads() for upload, at in batch}


async def play(another: Another, steps: Sequence[int | str]) -> None:
    """A number appends that many bytes, ``same`` and ``other`` keep the upload and resume it here or elsewhere."""
    store = await another()
    incoming = await store.begin(upload_id(7), "sha256")
    expected = b""
    for turn, step in enumerate(steps):
        if isinstance(step, int):
            piece = pattern(step, turn)
            half = step // 2
            await incoming.append([piece[:half], b"", piece[half:]])
            expected += piece
        else:
            await incoming.keep()
            assert store.held(upload_id(7)) == len(expected)
            if step == "other":
                store = await another()
            incoming = await store.resume(upload_id(7), "sha256")
        assert incoming.size == len(expected)
    assert await incoming.digest("sha256") == Digest.of(expected)
    landed = await land(incoming)
    assert landed.size == len(expected)
    assert fetch(store, landed) == expected
    assert await kept(store) == {}
    await store.delete([(landed.digest, landed.generation)])


class BlobStoreContract:
    """Test names say "elsewhere" for another instance over the same bytes, which shares no memory with the first."""

    @pytest.fixture
    def another(self) -> Another:
        """Makes one more instance over the same bytes."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, another: Another) -> AsyncIterator[BlobStore]:
        """After each test no upload may be left behind."""
        made = await another()
        yield made
        assert await kept(made) == {}

    @pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * 1024 * 1024 + 17])
    @pytest.mark.parametrize("told", [True, False], ids=["length told", "length unknown"])
    async def test_a_landed_blob_comes_back_as_it_was_sent(self, store: BlobStore, size: int, told: bool) -> None:
        body = pattern(size)
        landed = await push(store, body, expected=size if told else None)
        assert (landed.digest, landed.size) == (Digest.of(body), size)
        assert fetch(store, landed) == body

    @pytest.mark.parametrize("size", [SMALL - 1, SMALL + 1])
    async def test_a_landed_upload_is_held_until_its_writer_lets_go(self, another: Another, size: int) -> None:
        store, elsewhere = await another(), await another()
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([pattern(size)])
        landed = await incoming.land(await incoming.digest("sha256"))
        for other, expected in itertools.product((store, elsewhere), (None, 0, SMALL + 1)):
            with pytest.raises(UploadBusy):
                await other.begin(upload_id(1), "sha256", expected)
        await incoming.discard()
        await incoming.discard()
        assert await kept(store) == {}
        assert fetch(store, landed) == pattern(size)

    async def test_only_a_blob_above_the_inline_maximum_takes_room_in_the_store(self, store: BlobStore) -> None:
        small = await push(store, pattern(SMALL), 1)
        large = await push(store, pattern(SMALL + 1), 2)
        assert small.body == pattern(SMALL)
        assert large.body is None
        assert [(one.digest, one.generation, one.size) for one in await stored(store)] == [
            (large.digest, large.generation, SMALL + 1)
        ]

    async def test_a_blob_may_land_under_sha512_though_it_was_begun_with_sha256(self, store: BlobStore) -> None:
        for number, size in enumerate((100, 100_000)):
            incoming = await store.begin(upload_id(number), "sha256", size)
            await incoming.append([pattern(size)])
            landed = await land(incoming, "sha512")
            assert landed.digest == Digest.of(pattern(size), "sha512")
            assert fetch(store, landed) == pattern(size)

    @pytest.mark.parametrize("size", [10, 100_000])
    async def test_bytes_never_land_under_a_digest_that_is_not_theirs(self, store: BlobStore, size: int) -> None:
        incoming = await store.begin(upload_id(1), "sha256", size)
        await incoming.append([pattern(size)])
        with pytest.raises(ValueError, match="other bytes"):
            await incoming.land(Digest.of(b"something else"))
        await incoming.discard()
        assert await stored(store) == []

    async def test_more_bytes_than_were_told_are_taken_all_the_same(self, store: BlobStore) -> None:
        body = pattern(200_000)
        incoming = await store.begin(upload_id(1), "sha256", 10)
        for start in range(0, len(body), 9_000):
            await incoming.append([body[start : start + 9_000]])
        landed = await land(incoming)
        assert fetch(store, landed) == body

    async def test_fewer_bytes_than_were_told_land_with_their_own_size(self, store: BlobStore) -> None:
        landed = await push(store, pattern(50_000), expected=4_000_000)
        assert landed.size == 50_000
        assert fetch(store, landed) == pattern(50_000)

    async def test_thousands_of_tiny_pieces_are_one_blob(self, store: BlobStore) -> None:
        body = pattern(60_000)
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([body[at : at + 11] for at in range(0, len(body), 11)])
        assert fetch(store, await land(incoming)) == body

    @pytest.mark.parametrize("told", [20, None], ids=["length told", "length unknown"])
    @pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
    async def test_a_kept_upload_goes_on_where_it_stopped(
        self, store: BlobStore, another: Another, told: int | None, elsewhere: bool
    ) -> None:
        incoming = await store.begin(upload_id(1), "sha256", told)
        await incoming.append([pattern(20)])
        await incoming.keep()
        assert store.held(upload_id(1)) == 20
        second = await another() if elsewhere else store
        incoming = await second.resume(upload_id(1), "sha256")
        assert incoming.size == 20
        await incoming.append([pattern(70_000, 1)])
        assert fetch(second, await land(incoming)) == pattern(20) + pattern(70_000, 1)

    async def test_an_upload_that_went_on_elsewhere_is_hashed_anew_here(
        self, store: BlobStore, another: Another
    ) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([b"one"])
        await incoming.keep()
        elsewhere = await (await another()).resume(upload_id(1), "sha256")
        await elsewhere.append([b"two"])
        await elsewhere.keep()
        incoming = await store.resume(upload_id(1), "sha256")
        assert await incoming.digest("sha256") == Digest.of(b"onetwo")
        await incoming.discard()

    async def test_an_upload_begun_again_elsewhere_with_other_bytes_is_not_taken_for_the_old_one(
        self, store: BlobStore, another: Another
    ) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([b"old"])
        await incoming.keep()
        elsewhere = await (await another()).begin(upload_id(1), "sha256")
        await elsewhere.append([b"new"])
        await elsewhere.keep()
        incoming = await store.resume(upload_id(1), "sha256")
        assert await incoming.digest("sha256") == Digest.of(b"new")
        await incoming.discard()

    async def test_an_upload_resumed_with_another_algorithm_is_hashed_with_it(self, store: BlobStore) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([pattern(1000)])
        await incoming.keep()
        incoming = await store.resume(upload_id(1), "sha512")
        assert await incoming.digest("sha512") == Digest.of(pattern(1000), "sha512")
        await incoming.discard()

    @pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
    async def test_an_upload_has_one_writer_at_a_time(
        self, store: BlobStore, another: Another, elsewhere: bool
    ) -> None:
        second = await another() if elsewhere else store
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([b"mine"])
        with pytest.raises(UploadBusy):
            await second.begin(upload_id(1), "sha256")
        with pytest.raises(UploadBusy):
            await second.resume(upload_id(1), "sha256")
        with pytest.raises(UploadBusy):
            await second.drop(upload_id(1))
        assert second.held(upload_id(1)) == 4
        assert await incoming.digest("sha256") == Digest.of(b"mine")
        await incoming.discard()

    async def test_of_two_small_uploads_begun_at_once_the_first_to_be_kept_stays(
        self, store: BlobStore, another: Another
    ) -> None:
        first = await store.begin(upload_id(1), "sha256", 3)
        second = await (await another()).begin(upload_id(1), "sha256", 3)
        await first.append([b"one"])
        await second.append([b"two"])
        await first.keep()
        with pytest.raises(StoreFailed, match="another request"):
            await second.keep()
        incoming = await store.resume(upload_id(1), "sha256")
        assert await incoming.digest("sha256") == Digest.of(b"one")
        await incoming.discard()

    async def test_a_small_upload_begun_again_forgets_what_the_old_one_kept(self, store: BlobStore) -> None:
        for body in (b"old", b"new"):
            incoming = await store.begin(upload_id(1), "sha256", 3)
            await incoming.append([body])
            await incoming.keep()
        incoming = await store.resume(upload_id(1), "sha256")
        with pytest.raises(UploadBusy):
            await store.begin(upload_id(1), "sha256", 3)
        assert await incoming.digest("sha256") == Digest.of(b"new")
        await incoming.discard()

    async def test_of_sixteen_who_resume_at_once_one_gets_the_upload(self, store: BlobStore, another: Another) -> None:
        stores = [store, *[await another() for _ in range(3)]]
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([b"x"])
        await incoming.keep()
        tries = [stores[turn % 4].resume(upload_id(1), "sha256") for turn in range(16)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        won = [one for one in answers if not isinstance(one, BaseException)]
        assert len(won) == 1
        assert all(isinstance(one, UploadBusy) for one in answers if isinstance(one, BaseException))
        await won[0].discard()

    async def test_an_upload_that_never_was_can_neither_be_resumed_nor_is_it_held(self, store: BlobStore) -> None:
        assert store.held(upload_id(1)) is None
        with pytest.raises(UploadMissing):
            await store.resume(upload_id(1), "sha256")
        await store.drop(upload_id(1))

    async def test_nothing_is_held_by_an_upload_that_landed_or_was_thrown_away(self, store: BlobStore) -> None:
        for number, size in enumerate((10, 100_000)):
            await push(store, pattern(size), number)
            assert store.held(upload_id(number)) is None
            with pytest.raises(UploadMissing):
                await store.resume(upload_id(number), "sha256")
            incoming = await store.begin(upload_id(number), "sha256")
            await incoming.append([b"bytes"])
            await incoming.discard()
            await incoming.discard()
            assert store.held(upload_id(number)) is None

    async def test_a_dropped_upload_is_gone(self, store: BlobStore) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([b"bytes"])
        await incoming.keep()
        await store.drop(upload_id(1))
        with pytest.raises(UploadMissing):
            await store.resume(upload_id(1), "sha256")

    async def test_discarding_after_landing_leaves_the_blob_alone(self, store: BlobStore) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([pattern(100_000)])
        landed = await land(incoming)
        await incoming.discard()
        assert fetch(store, landed) == pattern(100_000)

    async def test_an_upload_that_is_over_takes_no_more_bytes(self, store: BlobStore) -> None:
        incoming = await store.begin(upload_id(1), "sha256")
        await incoming.append([pattern(100_000)])
        await land(incoming)
        with pytest.raises(StoreFailed):
            await incoming.append([b"more"])
        with pytest.raises(StoreFailed):
            await incoming.keep()

    async def test_an_old_generation_can_go_without_touching_the_new_one(self, store: BlobStore) -> None:
        old = await push(store, pattern(50_000), 1)
        new = await push(store, pattern(50_000), 2)
        assert old.digest == new.digest
        assert old.generation != new.generation
        await store.delete([(old.digest, old.generation)])
        assert [one.generation for one in await stored(store)] == [new.generation]
        assert fetch(store, new) == pattern(50_000)

    async def test_what_is_gone_already_counts_as_taken_away(self, store: BlobStore) -> None:
        large = await push(store, pattern(50_000), 1)
        small = await push(store, pattern(50), 2)
        places = [(large.digest, large.generation), (small.digest, small.generation)]
        await store.delete(places)
        await store.delete(places)
        await store.delete([])
        assert await stored(store) == []

    async def test_a_scan_finds_every_stored_blob_once(self, store: BlobStore) -> None:
        before = SystemClock().now()
        landed = [await push(store, pattern(SMALL + 1 + number, number), number) for number in range(12)]
        found = await stored(store)
        assert {(one.digest, one.generation, one.size) for one in found} == {
            (one.digest, one.generation, one.size) for one in landed
        }
        assert len(found) == 12
        assert all(abs(one.modified - before) < 60_000_000 for one in found)

    async def test_kept_uploads_are_listed_with_the_time_of_their_last_byte(self, store: BlobStore) -> None:
        before = SystemClock().now()
        for number in range(3):
            incoming = await store.begin(upload_id(number), "sha256")
            await incoming.append([b"bytes"])
            await incoming.keep()
        found = await kept(store)
        assert sorted(found) == [upload_id(number) for number in range(3)]
        assert all(abs(at - before) < 60_000_000 for at in found.values())
        for number in range(3):
            await store.drop(upload_id(number))

    async def test_eighty_pushes_at_once_do_not_mix_their_bytes(self, store: BlobStore) -> None:
        async def one(number: int) -> Landed:
            incoming = await store.begin(upload_id(number), "sha256", 60_000)
            for part in range(4):
                await incoming.append([pattern(15_000, number * 4 + part)])
            return await land(incoming)

        landed = await asyncio.gather(*map(one, range(80)))
        for number, blob in enumerate(landed):
            expected = b"".join(pattern(15_000, number * 4 + part) for part in range(4))
            assert fetch(store, blob) == expected

    async def test_a_push_cancelled_in_mid_write_can_still_be_kept_or_thrown_away(self, store: BlobStore) -> None:
        for number, ending in enumerate(("keep", "discard")):
            incoming = await store.begin(upload_id(number), "sha256")
            await incoming.append([b"head"])
            task = asyncio.create_task(incoming.append([pattern(1_000_000)]))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            expected = incoming.size
            assert expected in {4, 1_000_004}
            if ending == "keep":
                await incoming.keep()
                incoming = await store.resume(upload_id(number), "sha256")
                body = (b"head" + pattern(1_000_000))[:expected]
                assert await incoming.digest("sha256") == Digest.of(body)
            await incoming.discard()
