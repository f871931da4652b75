"""What comes from a source that a thread reads, by itself and among pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import BlobStore, StoreFailed
from tests.contracts.blobs import SMALL, fetch, kept, land, pattern, upload_id
from tests.contracts.files import Another, Drawn, stores


class Spring:
    """Gives a body, so much at a time; ``slowly`` in seconds for each reading."""

    def __init__(self, body: bytes, at_once: int = 1 << 30, slowly: float = 0.0) -> None:
        self._body = memoryview(body)
        self._at_once = at_once
        self._slowly = slowly
        self.given = 0

    def read_into(self, view: memoryview) -> int:
        time.sleep(self._slowly)
        part = self._body[self.given : self.given + min(len(view), self._at_once)]
        view[: len(part)] = part
        self.given += len(part)
        return len(part)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture
def root(drawn: Drawn) -> Iterator[Path]:
    yield drawn.root
    drawn.sweep()


@pytest.fixture
def another(root: Path) -> Iterator[Another]:
    with stores(root) as made:
        yield made


@pytest.fixture
async def store(another: Another) -> BlobStore:
    return await another()


@pytest.mark.parametrize("size", [0, 1, SMALL, limits.DRAW_BUFFER_BYTES, 3 * limits.DRAW_BUFFER_BYTES + 17])
@pytest.mark.parametrize("told", [True, False], ids=["length told", "length unknown"])
async def test_what_is_drawn_lands_as_it_was(store: BlobStore, size: int, told: bool) -> None:
    body = pattern(size)
    incoming = await store.begin(upload_id(1), "sha256", size if told else None)
    spring = Spring(body)
    await incoming.draw(spring)
    assert incoming.size == spring.given == size
    landed = await land(incoming)
    assert landed.digest == Digest.of(body)
    assert fetch(store, landed) == body
    assert await kept(store) == {}


async def test_one_draw_takes_no_more_than_its_turn(store: BlobStore) -> None:
    spring = Spring(bytes(limits.DRAW_BYTES_MAX + 1))
    incoming = await store.begin(upload_id(1), "sha256")
    await incoming.draw(spring)
    assert incoming.size == limits.DRAW_BYTES_MAX
    await incoming.draw(spring)
    assert incoming.size == limits.DRAW_BYTES_MAX + 1
    await incoming.discard()


async def test_pieces_draws_and_resumptions_in_any_order_are_one_blob(store: BlobStore, another: Another) -> None:
    body = pattern(5 * limits.DRAW_BUFFER_BYTES)
    cuts = [0, 700, 1_000_000, 1_000_001, 3_500_000, len(body)]
    incoming = await store.begin(upload_id(1), "sha256")
    for turn, (start, end) in enumerate(pairwise(cuts)):
        if turn % 2:
            spring = Spring(body[start:end], at_once=300_000)
            while spring.given < end - start:
                await incoming.draw(spring)
        else:
            await incoming.append([body[start:end]])
        if turn == 2:
            await incoming.keep()
            incoming = await (await another()).resume(upload_id(1), "sha256")
    landed = await land(incoming)
    assert landed.digest == Digest.of(body)
    assert fetch(store, landed) == body


async def test_many_who_draw_at_once_do_not_mix_their_bytes_and_leave_threads_to_others(store: BlobStore) -> None:
    bodies = [pattern(2 * limits.DRAW_BUFFER_BYTES + number, number) for number in range(40)]

    async def push(number: int) -> bytes:
        incoming = await store.begin(upload_id(number), "sha256", len(bodies[number]))
        spring = Spring(bodies[number], slowly=0.03)
        while spring.given < len(bodies[number]):
            await incoming.draw(spring)
        return fetch(store, await land(incoming))

    async def small() -> float:
        await asyncio.sleep(0.05)
        began = time.monotonic()
        incoming = await store.begin(upload_id(999), "sha256")
        await incoming.append([b"x"])
        await land(incoming)
        return time.monotonic() - began

    waited, *found = await asyncio.gather(small(), *(push(number) for number in range(40)))
    assert found == bodies
    assert isinstance(waited, float)
    assert waited < 0.3


async def test_a_draw_cancelled_in_mid_reading_can_still_be_kept(store: BlobStore) -> None:
    body = pattern(4 * limits.DRAW_BUFFER_BYTES)
    spring = Spring(body, slowly=0.05)
    incoming = await store.begin(upload_id(1), "sha256")
    drawing = asyncio.create_task(incoming.draw(spring))
    await asyncio.sleep(0.08)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert incoming.size == spring.given
    await incoming.keep()
    again = await store.resume(upload_id(1), "sha256")
    assert await again.digest("sha256") == Digest.of(body[: spring.given])
    await again.discard()


async def test_an_upload_that_is_over_draws_nothing(store: BlobStore) -> None:
    incoming = await store.begin(upload_id(1), "sha256")
    await incoming.discard()
    spring = Spring(b"x")
    with pytest.raises(StoreFailed):
        await incoming.draw(spring)
    assert spring.given == 0
