"""What every ``Upstream`` must do with a registry that behaves. A test class derives and overrides ``house``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.adapters.upstream.client import RegistryUpstream
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.ports.upstream import Absent, BlobStream, Circuit, Upstream, UpstreamManifest, UpstreamSettings
from tests.peers.images import Image, layered_image

IMAGE = ImageName("contract/nginx")
TAG = Tag("1.27")
NOWHERE = Digest.of(b"nobody has this")
PATIENT = UpstreamSettings(
    url="http://127.0.0.1:1",
    connect_seconds=2.0,
    answer_seconds=2.0,
    stall_seconds=1.0,
    rate_window_seconds=0.4,
    retry_seconds=0.02,
    probe_seconds=0.05,
    probe_seconds_max=0.2,
)
"""Everything is shorter than in earnest, so that the tests need not be patient."""


class ShiftedClock:
    """The real clock, put forward by hand."""

    def __init__(self) -> None:
        self.shift = 0.0
        self._clock = SystemClock()

    def now(self) -> int:
        return self._clock.now() + int(self.shift * 1_000_000)

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.shift


@asynccontextmanager
async def client(url: str, clock: ShiftedClock | None = None, **more: Any) -> AsyncIterator[RegistryUpstream]:
    """A client with short time-outs; ``more`` are settings."""
    upstream = RegistryUpstream(replace(PATIENT, url=url, **more), clock or ShiftedClock(), SystemEntropy())
    try:
        yield upstream
    finally:
        await upstream.aclose()


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it holds, five seconds at most."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a server, which sets no event
            await asyncio.sleep(0.005)


async def all_of(stream: BlobStream | Absent) -> bytes:
    assert not isinstance(stream, Absent), stream
    try:
        return b"".join([piece async for piece in stream])
    finally:
        await stream.aclose()


def held(found: UpstreamManifest | Absent) -> UpstreamManifest:
    assert isinstance(found, UpstreamManifest), found
    return found


@dataclass(frozen=True)
class House:
    """A registry that holds ``image`` as ``contract/nginx:1.27`` with these further tags, and how to ask it."""

    upstream: Upstream
    image: Image
    tags: tuple[str, ...]


def example_image() -> Image:
    return layered_image(3, 300_000, seed=27)


class UpstreamContract:
    @pytest.fixture
    def house(self) -> AsyncIterator[House]:
        raise NotImplementedError

    async def test_head_says_digest_type_and_size_without_a_body(self, house: House) -> None:
        said = held(await house.upstream.head(IMAGE, TAG))
        manifest = house.image.manifest
        assert said == UpstreamManifest(Digest(manifest.digest), manifest.media_type, manifest.size, None)
        assert held(await house.upstream.head(IMAGE, said.digest)) == said

    async def test_a_manifest_comes_by_tag_and_by_digest_byte_for_byte(self, house: House) -> None:
        by_tag = held(await house.upstream.manifest(IMAGE, TAG))
        assert by_tag.body == house.image.manifest.data
        assert by_tag.digest == house.image.digest
        assert by_tag.media_type == house.image.manifest.media_type
        assert held(await house.upstream.manifest(IMAGE, by_tag.digest)) == by_tag

    async def test_each_blob_streams_with_its_size(self, house: House) -> None:
        for blob in house.image.blobs:
            stream = await house.upstream.blob(IMAGE, Digest(blob.digest))
            assert not isinstance(stream, Absent)
            assert stream.size == blob.size
            assert await all_of(stream) == blob.data

    async def test_what_is_not_there_is_absent(self, house: House) -> None:
        assert isinstance(await house.upstream.head(IMAGE, Tag("none")), Absent)
        assert isinstance(await house.upstream.manifest(IMAGE, Tag("none")), Absent)
        assert isinstance(await house.upstream.manifest(IMAGE, NOWHERE), Absent)
        assert isinstance(await house.upstream.blob(IMAGE, NOWHERE), Absent)
        assert isinstance(await house.upstream.head(ImageName("no/such"), TAG), Absent)
        assert isinstance(await house.upstream.tags(ImageName("no/such")), Absent)
        assert house.upstream.state().fetching == 0

    async def test_all_tags_are_listed(self, house: House) -> None:
        found = await house.upstream.tags(IMAGE)
        assert not isinstance(found, Absent)
        assert sorted(found) == sorted(house.tags)

    async def test_referrers_are_an_index_or_absent(self, house: House) -> None:
        found = await house.upstream.referrers(IMAGE, Digest(house.image.digest), None)
        assert isinstance(found, Absent) or isinstance(json.loads(found)["manifests"], list)

    async def test_a_blob_that_is_given_up_takes_no_turn_away(self, house: House) -> None:
        for _ in range(limits.UPSTREAM_FETCHES_AT_ONCE + 2):
            stream = await house.upstream.blob(IMAGE, Digest(house.image.layers[0].digest))
            assert not isinstance(stream, Absent)
            await stream.aclose()
        assert house.upstream.state().fetching == 0

    async def test_the_state_shows_a_healthy_upstream_and_a_probe_agrees(self, house: House) -> None:
        assert await house.upstream.probe()
        await house.upstream.head(IMAGE, TAG)
        state = house.upstream.state()
        assert state.circuit is Circuit.CLOSED
        assert state.last_answer_at is not None
        assert (state.failures, state.bad_answers, state.fetching, state.waiting) == (0, 0, 0, 0)
        assert state.limited_until is None
