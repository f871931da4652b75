"""Blobs of a proxy: one fetch for all, read along while they come, and nothing unverified kept or given out whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.repositories.kind import ComingBlob, Found, Missing, StoredBlob
from pierhead.repositories.proxy import Proxy
from tests.contracts.rows import manifest
from tests.faults.behaviours import (
    chunked,
    cut,
    drip,
    endless,
    limited,
    other_bytes,
    redirect,
    status,
    wait_for,
    wrong_length,
)
from tests.faults.dishonest_upstream import Behaviour, DishonestUpstream
from tests.peers.images import random_bytes
from tests.repositories.house import ANNA, NGINX, House, pulled, read, until

LAYER = random_bytes(1_000_000, 1)
LAYER_DIGEST = Digest.of(LAYER)
SHORT = ImageName("nginx")
WITHHELD = limits.FILL_WITHHELD_BYTES


async def asked(proxy: Proxy, digest: Digest = LAYER_DIGEST, image: ImageName = NGINX) -> ComingBlob | StoredBlob:
    found = await proxy.blob(ANNA, image, digest, head=False)
    assert not isinstance(found, Missing)
    return found


async def cold(house: House, upstream: DishonestUpstream, layers: Sequence[bytes] = (LAYER,)) -> Proxy:
    """A proxy that keeps the manifest of an image and none of its blobs."""
    upstream.add_image(NGINX, "latest", list(layers))
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    return proxy


async def test_a_blob_is_fetched_once_and_sent_as_a_file_from_then_on(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    assert await read(await asked(proxy)) == LAYER
    await until(lambda: not proxy.status().fills_running, "the fill is over")
    stored = await asked(proxy)
    assert isinstance(stored, StoredBlob)
    assert await read(stored) == LAYER
    assert upstream.count(path="/blobs/") == 1
    assert proxy.status().bytes_fetched == len(LAYER)


async def test_the_first_byte_is_here_before_the_last_was_sent_and_the_end_is_withheld(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=900_000), path="/blobs/")
    found = await asked(proxy)
    assert isinstance(found, ComingBlob)
    assert found.size == len(LAYER)
    pieces = found.source.pieces(0, found.size)
    got = b""
    while len(got) < 900_000:
        got += await anext(pieces)
    gate.set()
    got += b"".join([piece async for piece in pieces])
    assert got == LAYER


async def test_the_last_64_kib_wait_for_the_digest(house: House, upstream: DishonestUpstream) -> None:
    proxy = await cold(house, upstream)
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=len(LAYER) - 1), path="/blobs/")
    found = await asked(proxy)
    pieces = found.source.pieces(0, found.size) if isinstance(found, ComingBlob) else None
    assert pieces is not None
    got = b""
    while len(got) < len(LAYER) - WITHHELD:
        got += await anext(pieces)
    assert len(got) == len(LAYER) - WITHHELD
    rest = asyncio.ensure_future(anext(pieces))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(rest), 0.2)
    gate.set()
    got += await rest
    got += b"".join([piece async for piece in pieces])
    assert got == LAYER


async def test_fifty_who_want_a_cold_layer_cost_one_fetch_and_all_stream(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    first_bytes = 0

    async def client() -> bytes:
        nonlocal first_bytes
        found = await asked(proxy)
        assert isinstance(found, ComingBlob)
        got = b""
        async for piece in found.source.pieces(0, found.size):
            first_bytes += not got
            got += piece
        return got

    clients = [asyncio.create_task(client()) for _ in range(50)]
    await until(lambda: first_bytes == 50, "everybody has bytes while the upstream still sends")
    gate.set()
    assert set(await asyncio.gather(*clients)) == {LAYER}
    assert upstream.count(path="/blobs/") == 1


async def test_a_range_of_a_coming_blob_is_just_that_range(house: House, upstream: DishonestUpstream) -> None:
    proxy = await cold(house, upstream)
    found = await asked(proxy)
    assert await read(found, 400_000, 200_000) == LAYER[400_000:600_000]
    assert await read(found, len(LAYER) - 10, 10) == LAYER[-10:]


async def test_a_fill_outlives_its_client(house: House, upstream: DishonestUpstream) -> None:
    proxy = await cold(house, upstream)
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    found = await asked(proxy)
    assert isinstance(found, ComingBlob)
    pieces = found.source.pieces(0, found.size)
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    del found, pieces
    gate.set()
    await until(lambda: not proxy.status().fills_running, "the fill is over")
    assert isinstance(await asked(proxy), StoredBlob)


async def test_a_fill_without_readers_is_given_up_after_a_while(
    house: House, upstream: DishonestUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILL_DETACHED_SECONDS_MAX", 0.2)
    proxy = await cold(house, upstream)
    upstream.play(drip(0.02, after=500_000), path="/blobs/")
    found = await asked(proxy)
    assert isinstance(found, ComingBlob)
    source = found.source.pieces(0, found.size)
    await anext(source)
    await asyncio.sleep(0.4)
    assert proxy.status().fills_running == 1
    await source.aclose()  # type: ignore[attr-defined]
    del found, source
    await until(lambda: not proxy.status().fills_running, "the fill is given up")
    upstream.be_honest()
    assert await read(await asked(proxy)) == LAYER


async def test_other_bytes_than_the_digest_names_are_never_given_out_whole_and_never_kept(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    upstream.play(other_bytes(), path="/blobs/")
    found = await asked(proxy)
    assert isinstance(found, ComingBlob)
    got = b""
    with pytest.raises(Unavailable) as raised:  # noqa: PT012 - how much came before is the point
        async for piece in found.source.pieces(0, found.size):
            got += piece
    assert raised.value.kind == "bad_answer"
    assert str(LAYER_DIGEST) in raised.value.message
    assert len(got) <= len(LAYER) - WITHHELD
    assert await house.count("blobs WHERE state<>0") == 0
    assert proxy.status().bad_answers == 1
    assert [name for _, _, names in os.walk(house.root / "blobs") for name in names if name != "layout"] == []
    upstream.be_honest()
    assert await read(await asked(proxy)) == LAYER


async def test_a_small_blob_with_other_bytes_is_a_502_from_the_start(house: House, upstream: DishonestUpstream) -> None:
    small = random_bytes(WITHHELD, 2)
    proxy = await cold(house, upstream, [small])
    upstream.play(other_bytes(), path="/blobs/")
    with pytest.raises(Unavailable) as raised:
        await asked(proxy, Digest.of(small))
    assert raised.value.kind == "bad_answer"
    upstream.be_honest()
    assert await read(await asked(proxy, Digest.of(small))) == small


async def test_a_cut_in_the_midst_is_mended_unseen(house: House, upstream: DishonestUpstream) -> None:
    proxy = await cold(house, upstream)
    upstream.play(cut(300_000), path="/blobs/", times=1)
    assert await read(await asked(proxy)) == LAYER
    whole, rest = [one.headers.get("range") for one in upstream.seen if "/blobs/" in one.path]
    assert whole is None
    # What the connection still held when it was cut may be asked for again.
    assert rest is None or 0 < int(rest.removeprefix("bytes=").removesuffix("-")) <= 300_000


async def test_a_cut_that_cannot_be_mended_ends_the_readers_and_keeps_nothing(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    upstream.play(cut(0), path="/blobs/")
    upstream.play(cut(300_000), path="/blobs/", times=1)
    found = await asked(proxy)
    with pytest.raises(Unavailable):
        await read(found)
    assert await house.count("blobs WHERE state<>0") == 0
    upstream.be_honest()
    assert await read(await asked(proxy)) == LAYER


@pytest.mark.parametrize("lie", [wrong_length(-1000), wrong_length(1000), endless()], ids=["less", "more", "no end"])
async def test_a_wrong_length_is_no_blob(house: House, upstream: DishonestUpstream, lie: Behaviour) -> None:
    proxy = await cold(house, upstream)
    upstream.play(lie, path="/blobs/")
    with pytest.raises(Unavailable) as raised:
        await asyncio.wait_for(read(await asked(proxy)), 30)
    assert raised.value.kind == "bad_answer"
    assert proxy.status().bytes_fetched <= len(LAYER), "more was taken than a blob of this size has"


async def test_a_blob_without_a_length_is_kept_all_the_same(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_blob(LAYER)
    upstream.play(chunked(), path="/blobs/")
    proxy = await house.proxy(upstream.url)
    assert await read(await asked(proxy)) == LAYER


async def test_a_blob_comes_from_another_host_that_the_upstream_leads_to(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    upstream.play(redirect(upstream.url + "/cdn/{last}"), path="/blobs/")
    assert await read(await asked(proxy)) == LAYER


async def test_a_blob_that_the_upstream_does_not_have_is_missing_and_asked_for_once(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await house.proxy(upstream.url)
    for _ in range(3):
        assert isinstance(await proxy.blob(ANNA, NGINX, LAYER_DIGEST, head=False), Missing)
    assert upstream.count(path="/blobs/") == 1


async def test_a_digest_that_is_no_manifest_is_found_as_a_blob_and_the_other_way_round(
    house: House, upstream: DishonestUpstream
) -> None:
    made = upstream.add_image(NGINX, "latest", [LAYER])
    proxy, manifest = await house.proxy(upstream.url), Digest(made.digest)
    assert isinstance(await proxy.manifest(ANNA, NGINX, LAYER_DIGEST, head=False), Missing)
    assert await read(await asked(proxy)) == LAYER
    assert isinstance(await proxy.blob(ANNA, NGINX, manifest, head=True), Missing)
    assert isinstance(await proxy.manifest(ANNA, NGINX, manifest, head=False), Found)


async def test_a_blob_that_no_manifest_here_names_is_fetched_all_the_same_and_once(
    house: House, upstream: DishonestUpstream
) -> None:
    upstream.add_image(NGINX, "latest", [LAYER])
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    proxy = await house.proxy(upstream.url)
    readers = [asyncio.create_task(asked(proxy, image=SHORT)) for _ in range(20)]
    found = await asyncio.gather(*readers)
    gate.set()
    assert {await read(one) for one in found} == {LAYER}
    assert upstream.count(path="/blobs/") == 1


async def test_a_head_of_a_cold_blob_begins_no_transfer(house: House, upstream: DishonestUpstream) -> None:
    proxy = await cold(house, upstream)
    found = await proxy.blob(ANNA, NGINX, LAYER_DIGEST, head=True)
    assert isinstance(found, ComingBlob)
    assert found.size == len(LAYER)
    assert upstream.count(path="/blobs/") == 0


async def test_a_head_of_an_unnamed_blob_tells_the_size(house: House, upstream: DishonestUpstream) -> None:
    upstream.add_blob(LAYER)
    proxy = await house.proxy(upstream.url)
    found = await proxy.blob(ANNA, NGINX, LAYER_DIGEST, head=True)
    assert isinstance(found, ComingBlob)
    assert found.size == len(LAYER)
    assert not proxy.status().fills_running
    nobody = Digest.of(b"nobody has this")
    assert isinstance(await proxy.blob(ANNA, NGINX, nobody, head=True), Missing)


async def test_images_of_one_proxy_share_a_layer_without_a_second_fetch(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    await read(await asked(proxy))
    other = ImageName("library/httpd")
    upstream.add_image(other, "latest", [LAYER])
    await pulled(proxy, other)
    assert isinstance(await asked(proxy, image=other), StoredBlob)
    assert upstream.count(path="/blobs/") == 1


async def test_what_was_pushed_here_is_not_given_to_a_proxy_whose_upstream_only_names_it(
    house: House, upstream: DishonestUpstream
) -> None:
    """Whoever writes to the upstream could otherwise read any layer here whose digest he knows."""
    hosted = await house.hosted("h")
    secret = b"a private layer"
    await house.push(hosted, ImageName("app"), "1", manifest(secret), secret)
    upstream.add_image(NGINX, "latest", [secret])
    upstream.blobs.pop(str(Digest.of(secret)))
    proxy = await house.proxy(upstream.url)
    await pulled(proxy, NGINX)
    assert isinstance(await proxy.blob(ANNA, NGINX, Digest.of(secret), head=False), Missing)


async def test_what_was_pushed_here_and_comes_from_the_upstream_as_well_is_stored_once(
    house: House, upstream: DishonestUpstream
) -> None:
    hosted = await house.hosted("h")
    shared = b"a public layer"
    await house.push(hosted, ImageName("app"), "1", manifest(shared), shared)
    proxy = await cold(house, upstream, [shared])
    assert await read(await asked(proxy, Digest.of(shared))) == shared
    assert upstream.count(path="/blobs/") == 1
    assert await house.count("blobs WHERE state=1") == 1


async def test_two_images_that_want_the_same_digest_at_once_cost_one_fetch(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    other = ImageName("library/httpd")
    upstream.add_image(other, "latest", [LAYER])
    await pulled(proxy, other)
    gate = asyncio.Event()
    upstream.play(wait_for(gate, after=500_000), path="/blobs/")
    found = [await asked(proxy), await asked(proxy, image=other)]
    readers = [asyncio.create_task(read(one)) for one in found]
    gate.set()
    assert await asyncio.gather(*readers) == [LAYER, LAYER]
    await until(lambda: not proxy.status().fills_running, "the fills are over")
    assert isinstance(await asked(proxy, image=other), StoredBlob)
    assert upstream.count(path="/blobs/") == 1


async def test_a_fill_that_hangs_blocks_nothing_else(house: House, upstream: DishonestUpstream) -> None:
    other = random_bytes(200_000, 3)
    proxy = await cold(house, upstream, [LAYER, other])
    # Asked for the rest, it hangs again after as much; the client gives up when that has happened three times.
    upstream.play(wait_for(asyncio.Event(), after=200_000), path=LAYER_DIGEST)
    hanging = asyncio.create_task(_until_the_end(proxy))
    assert await read(await asked(proxy, Digest.of(other))) == other
    assert isinstance(await hanging, Unavailable)
    assert not proxy.status().fills_running


async def _until_the_end(proxy: Proxy) -> BaseException | None:
    try:
        await read(await asked(proxy))
    except Unavailable as failure:
        return failure
    return None


@pytest.mark.parametrize("behaviour", [status(503), limited(retry_after=30)], ids=["503", "429"])
async def test_a_blob_of_an_upstream_in_trouble_is_no_absence(
    house: House, upstream: DishonestUpstream, behaviour: object
) -> None:
    proxy = await cold(house, upstream)
    upstream.play(behaviour, path="/blobs/")  # type: ignore[arg-type]
    with pytest.raises((Unavailable, UpstreamLimited)):
        await read(await asked(proxy))


async def test_nothing_is_left_of_fills_that_are_under_way_when_the_server_stops(
    house: House, upstream: DishonestUpstream
) -> None:
    proxy = await cold(house, upstream)
    upstream.play(wait_for(asyncio.Event(), after=500_000), path="/blobs/")
    found = await asked(proxy)
    reading = asyncio.create_task(read(found))
    await house.fills.close()
    with pytest.raises(Unavailable):
        await reading
    assert list((house.root / "fills").iterdir()) == []
