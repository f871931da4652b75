"""Fills of several processes on one data folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead.domain.digest import Digest
from pierhead.repositories.kind import ComingBlob, StoredBlob
from tests.contracts.blobs import pattern
from tests.contracts.files import neighbour, open_files
from tests.faults.behaviours import wait_for
from tests.faults.dishonest_upstream import DishonestUpstream
from tests.repositories.house import ANNA, NGINX, House, pulled, read, until

SIZE = 800_000
LAYER = pattern(SIZE)
DIGEST = Digest.of(LAYER)


@pytest.fixture
async def houses(tmp_path: Path) -> AsyncIterator[tuple[House, House]]:
    """Two workers: all that they share is the folder."""
    opened = await House.open(tmp_path, shared=True), await House.open(tmp_path, shared=True)
    yield opened
    for house in opened:
        await house.close()
    assert list((tmp_path / "fills").iterdir()) == []


async def test_workers_that_want_the_same_layer_cost_one_fetch_and_both_stream(
    houses: tuple[House, House], upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    proxies = [await house.proxy(upstream.url) for house in houses]
    for proxy in proxies:
        await pulled(proxy, NGINX)
    sources = []
    for proxy in proxies:
        found = await proxy.blob(ANNA, NGINX, DIGEST, head=False)
        assert isinstance(found, ComingBlob)
        sources.append(found.source.pieces(0, SIZE))
    got = [await anext(source) for source in sources]
    gate.set()
    for number, source in enumerate(sources):
        got[number] += b"".join([piece async for piece in source])
    assert got == [LAYER, LAYER]
    assert upstream.count(path="/blobs/") == 1
    for proxy in proxies:
        await until(lambda proxy=proxy: not proxy.status().fills_running, "the fill is over")  # type: ignore[misc]
        assert isinstance(await proxy.blob(ANNA, NGINX, DIGEST, head=False), StoredBlob)


async def test_five_hundred_readers_who_leave_hold_nothing_open(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)

    async def leave() -> None:
        found = await proxy.blob(ANNA, NGINX, DIGEST, head=False)
        assert isinstance(found, ComingBlob)
        async for _ in found.source.pieces(0, SIZE):
            break

    await asyncio.gather(*(leave() for _ in range(500)))
    await until(lambda: len(parts_open(house)) == 1, "only the leader has the part open")
    gate.set()
    await until(lambda: not proxy.status().fills_running, "the fill is over")
    assert parts_open(house) == []


def parts_open(house: House) -> list[str]:
    return [name for name in open_files() if name.startswith(str(house.root / "fills"))]


async def test_a_worker_sees_at_once_what_another_cached(
    houses: tuple[House, House], upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    first, second = [await house.proxy(upstream.url) for house in houses]
    await pulled(first, NGINX)
    await upstream.stop()
    assert (await pulled(second, NGINX)).stale == ""


async def test_when_the_leader_is_killed_a_follower_fetches_and_his_reader_notices_nothing(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    with neighbour(house.root, "fill", DIGEST, str(SIZE)) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        found = await proxy.blob(ANNA, NGINX, DIGEST, head=False)
        assert isinstance(found, ComingBlob)
        source = found.source.pieces(0, SIZE)
        got = b""
        while len(got) < SIZE // 2:
            got += await anext(source)
        assert upstream.count(path="/blobs/") == 0
        process.kill()
        got += b"".join([piece async for piece in source])
    assert got == LAYER
    assert upstream.count(path="/blobs/") == 1
    await until(lambda: not proxy.status().fills_running, "the fill is over")
    assert await read(await proxy.blob(ANNA, NGINX, DIGEST, head=False)) == LAYER


@pytest.mark.parametrize("then", ["fail", "land"])
async def test_a_leader_whose_row_never_comes_is_not_waited_for(
    house: House, upstream: DishonestUpstream, then: str
) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    with neighbour(house.root, "fill", DIGEST, str(SIZE), then) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        found = await proxy.blob(ANNA, NGINX, DIGEST, head=False)
        reading = asyncio.create_task(read(found))
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert await asyncio.to_thread(process.stdout.readline) != ""
        process.kill()
        assert await reading == LAYER
    await until(lambda: not proxy.status().fills_running, "the fill is over")
    assert isinstance(await proxy.blob(ANNA, NGINX, DIGEST, head=False), StoredBlob)
    assert upstream.count(path="/blobs/") == 1
