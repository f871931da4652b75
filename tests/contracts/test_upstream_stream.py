"""Blobs that are cut, drip, or come otherwise than was said; and how the client mends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable
from pierhead.ports.upstream import Absent, BlobStream
from tests.contracts.upstream import all_of, client
from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import Behaviour, DishonestUpstream, Tokens, digest_of

NGINX = ImageName("library/nginx")
LAYER = bytes(range(256)) * 4000
DIGEST = Digest(digest_of(LAYER))
RANGE = "range"


@pytest.fixture
async def double() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream() as double:
        double.add_image(NGINX, Tag("1"), [LAYER])
        yield double


def ranges(double: DishonestUpstream) -> list[str | None]:
    return [request.headers.get("range") for request in double.seen if "/blobs/" in request.target]


async def collect(stream: BlobStream, pieces: list[bytes]) -> None:
    async for piece in stream:
        pieces.append(piece)  # noqa: PERF401 - what came before a fault is wanted too


@pytest.mark.parametrize("cuts", [1, 3])
async def test_a_cut_is_mended_with_a_range_unseen_by_the_reader(double: DishonestUpstream, cuts: int) -> None:
    double.play(bad.cut(100_000), "/blobs/", times=cuts)
    async with client(double.url) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        assert stream.size == len(LAYER)
        assert await all_of(stream) == LAYER
        assert upstream.state().failures + upstream.state().bad_answers == 0
    assert ranges(double) == [None] + [f"bytes={100_000 * n}-" for n in range(1, cuts + 1)]


async def test_a_fourth_cut_is_the_end(double: DishonestUpstream) -> None:
    double.play(bad.cut(1000), "/blobs/")
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="cut in the midst") as caught:
            await all_of(await upstream.blob(NGINX, DIGEST))
        assert caught.value.kind == "bad_answer"
        assert (upstream.state().fetching, upstream.state().bad_answers) == (0, 1)
    assert len(ranges(double)) == 4


async def test_a_cut_of_a_body_without_a_length_is_no_end(double: DishonestUpstream) -> None:
    double.play(bad.cut_chunked(5000), "/blobs/", times=1)
    async with client(double.url) as upstream:
        assert await all_of(await upstream.blob(NGINX, DIGEST)) == LAYER


async def test_a_body_without_a_length_comes_whole(double: DishonestUpstream) -> None:
    double.play(bad.chunked(), "/blobs/")
    async with client(double.url) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        assert stream.size is None
        assert await all_of(stream) == LAYER


async def test_a_server_that_knows_no_ranges_sends_all_again_and_the_known_part_is_skipped(
    double: DishonestUpstream,
) -> None:
    double.play(bad.whole_on_range(LAYER), "/blobs/")
    double.play(bad.cut(300_000), "/blobs/", times=1)
    async with client(double.url) as upstream:
        assert await all_of(await upstream.blob(NGINX, DIGEST)) == LAYER


@pytest.mark.parametrize(
    ("then", "why"),
    [
        pytest.param(bad.other_part(), "another part", id="another part"),
        pytest.param(bad.whole_on_range(LAYER + b"more"), "the size was", id="another size"),
        pytest.param(bad.status(416), "416", id="416"),
        pytest.param(bad.status(404), "is gone", id="404"),
        pytest.param(bad.status(200, {"Content-Type": "text/html"}, b"log in"), "web page", id="page"),
        pytest.param(bad.status(503), "503", id="503"),
        pytest.param(bad.limited(9), "no more pulls", id="429"),
        pytest.param(bad.hang(), "does not answer", id="silence"),
    ],
)
async def test_a_rest_that_is_something_else_ends_the_blob(
    double: DishonestUpstream, then: Behaviour, why: str
) -> None:
    double.play(then, "/blobs/")
    double.play(bad.cut(300_000), "/blobs/", times=1)
    async with client(double.url, answer_seconds=0.5) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        pieces: list[bytes] = []
        with pytest.raises(Unavailable, match=why):
            await collect(stream, pieces)
        assert b"".join(pieces) == LAYER[:300_000]
        assert upstream.state().fetching == 0


async def test_a_rest_that_comes_in_small_parts_is_put_together_or_given_up(double: DishonestUpstream) -> None:
    async with client(double.url) as upstream:
        for part, whole in ((400_000, True), (1000, False)):
            double.play(bad.small_parts(part), "/blobs/")
            double.play(bad.cut(300_000), "/blobs/", times=1)
            stream = await upstream.blob(NGINX, DIGEST)
            if whole:
                assert await all_of(stream) == LAYER
            else:
                with pytest.raises(Unavailable, match="cut in the midst"):
                    await all_of(stream)


@pytest.mark.parametrize("more", [7, -7])
async def test_a_length_that_is_a_lie_never_yields_a_body_that_passes(double: DishonestUpstream, more: int) -> None:
    double.play(bad.wrong_length(more), "/blobs/", times=1)
    async with client(double.url) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        if more > 0:
            with pytest.raises(Unavailable):
                await all_of(stream)
        else:
            assert Digest.of(await all_of(stream)) != DIGEST


async def test_a_drip_is_given_up_and_the_rest_is_asked_for_elsewhere_in_time(double: DishonestUpstream) -> None:
    double.play(bad.drip(0.02, after=200_000), "/blobs/", times=1)
    async with client(double.url) as upstream:
        began = time.monotonic()
        assert await all_of(await upstream.blob(NGINX, DIGEST)) == LAYER
        assert time.monotonic() - began < 5
    assert len(ranges(double)) == 2


async def test_an_upstream_that_only_drips_is_slow(double: DishonestUpstream) -> None:
    double.play(bad.drip(0.02), "/blobs/")
    async with client(double.url, rate_window_seconds=0.1) as upstream:
        with pytest.raises(Unavailable, match="too slow") as caught:
            await all_of(await upstream.blob(NGINX, DIGEST))
        assert caught.value.kind == "slow"
        assert upstream.state().failures == 1


async def test_silence_in_the_midst_is_given_up_and_mended(double: DishonestUpstream) -> None:
    double.play(bad.wait_for(asyncio.Event(), after=200_000), "/blobs/", times=1)
    async with client(double.url, stall_seconds=0.2) as upstream:
        assert await all_of(await upstream.blob(NGINX, DIGEST)) == LAYER


async def test_a_slow_reader_is_not_taken_for_a_slow_upstream(double: DishonestUpstream) -> None:
    async with client(double.url, rate_window_seconds=0.01, rate_bytes_min=10_000_000, stall_seconds=0.1) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        got = b""
        async for piece in stream:
            got += piece
            await asyncio.sleep(0.12)
        assert got == LAYER
    assert len(ranges(double)) == 1


async def test_the_first_bytes_come_before_the_last_are_sent(double: DishonestUpstream) -> None:
    gate = asyncio.Event()
    double.play(bad.wait_for(gate, after=70_000), "/blobs/")
    async with client(double.url) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        pieces = aiter(stream)
        first = await anext(pieces)
        assert 0 < len(first) <= 70_000
        gate.set()
        assert first + b"".join([piece async for piece in pieces]) == LAYER


async def test_an_expired_token_and_an_expired_cdn_address_are_renewed_in_mid_blob() -> None:
    async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as double, DishonestUpstream() as cdn:
        double.add_image(NGINX, Tag("1"), [LAYER])
        cdn.blobs = double.blobs
        cdn.play(bad.cut(100_000), times=1)
        double.play(bad.redirect(f"http://{cdn.address}/cdn/{{last}}"), "/blobs/")
        async with client(double.url, username="anna", password="secret", allow_private=(cdn.address,)) as upstream:
            stream = await upstream.blob(NGINX, DIGEST)
            assert double.tokens is not None
            double.tokens.granted.clear()
            cdn.play(bad.status(403), times=1)
            cdn.play(bad.cut(100_000), times=1)
            assert await all_of(stream) == LAYER
        assert double.count("GET", "/token") == 2
        assert all("authorization" not in request.headers for request in cdn.seen)


async def test_an_upstream_that_is_killed_in_mid_blob_is_said_and_lets_the_turn_go(double: DishonestUpstream) -> None:
    double.play(bad.wait_for(asyncio.Event(), after=100_000), "/blobs/")
    async with client(double.url) as upstream:
        stream = await upstream.blob(NGINX, DIGEST)
        assert not isinstance(stream, Absent)
        pieces = aiter(stream)
        await anext(pieces)
        await double.stop()
        with pytest.raises(Unavailable, match="connection refused") as caught:
            async for _ in pieces:
                pass
        assert caught.value.kind == "down"
        assert upstream.state().fetching == 0
