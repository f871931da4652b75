"""Retries, limits, the circuit breaker, the queue: how the client bears an upstream that is down, slow or limits it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from pierhead.adapters.upstream.quota import message_in, parse_amount, parse_retry_after
from pierhead.adapters.upstream.turnstile import Turnstile
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import Unavailable, UpstreamLimited
from pierhead.ports.upstream import Absent, BlobStream, Circuit, UpstreamManifest
from tests.contracts.upstream import ShiftedClock, all_of, client, held, until
from tests.faults import behaviours as bad
from tests.faults.dishonest_upstream import Behaviour, DishonestUpstream, digest_of

NGINX = ImageName("library/nginx")
TAG = Tag("1")
LAYER = bytes(range(256)) * 4000
LAYER_DIGEST = Digest(digest_of(LAYER))


@pytest.fixture
async def double() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream() as double:
        double.add_image(NGINX, TAG, [LAYER])
        yield double


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (bad.status(502), 3),
        (bad.status(503), 3),
        (bad.status(504), 3),
        (bad.status(500), 2),
        (bad.status(501), 1),
        (bad.status(503, {"Retry-After": "30"}), 1),
        (bad.hang_up(), 3),
    ],
)
async def test_what_may_pass_is_asked_again_and_then_said(
    double: DishonestUpstream, fault: Behaviour, asked: int
) -> None:
    double.play(fault, "/manifests/")
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable) as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.kind == "down"
        assert upstream.host in caught.value.message
        assert upstream.state().failures == 1
    assert double.count() >= asked
    assert double.count() <= asked * 2  # aiohttp itself asks again on a kept connection that turns out to be dead


async def test_a_retry_after_of_a_503_is_handed_on(double: DishonestUpstream) -> None:
    double.play(bad.status(503, {"Retry-After": "30"}))
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match="answers 503 Service Unavailable") as caught:
            await upstream.head(NGINX, TAG)
    assert caught.value.retry_after == 30


async def test_an_upstream_that_recovers_meanwhile_is_not_even_noticed(double: DishonestUpstream) -> None:
    double.play(bad.status(503), times=2)
    async with client(double.url) as upstream:
        held(await upstream.manifest(NGINX, TAG))
        assert upstream.state().failures == 0


@pytest.mark.parametrize("fault", [bad.hang(), bad.drip(), bad.endless_hints()])
async def test_silence_is_slow_and_ends_in_time(double: DishonestUpstream, fault: Behaviour) -> None:
    double.play(fault)
    async with client(double.url, answer_seconds=0.3) as upstream:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await upstream.manifest(NGINX, TAG)
        assert time.monotonic() - began < 3
        assert caught.value.kind == "slow"
        with pytest.raises(Unavailable):
            await upstream.head(NGINX, TAG)
        assert upstream.state().fetching == 0


async def test_the_head_of_a_blob_that_nothing_follows_is_silence_too(double: DishonestUpstream) -> None:
    digest = Digest(double.add_blob(b"a layer"))
    double.play(bad.wait_for(asyncio.Event()))
    async with client(double.url, answer_seconds=0.3) as upstream:
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await upstream.blob(NGINX, digest)
        assert (caught.value.kind, upstream.state().fetching) == ("slow", 0)


async def test_a_port_where_nobody_listens_is_down_with_the_reason(double: DishonestUpstream) -> None:
    await double.stop()
    async with client(double.url) as upstream:
        with pytest.raises(Unavailable, match=r"does not answer \(connection refused\)") as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.kind == "down"
    async with client("http://no-such-host.invalid", connect_seconds=0.5) as upstream:
        with pytest.raises(
            Unavailable, match=r"^no-such-host.invalid does not answer \((its name has no address|connect timeout)\)"
        ):
            await upstream.manifest(NGINX, TAG)


async def test_the_circuit_opens_after_failures_in_a_row_and_then_answers_at_once(double: DishonestUpstream) -> None:
    double.play(bad.status(500))
    clock = ShiftedClock()
    async with client(double.url, clock, probe_seconds=60.0, probe_seconds_max=60.0) as upstream:
        for _ in range(3):
            assert upstream.state().circuit is Circuit.CLOSED
            with pytest.raises(Unavailable):
                await upstream.head(NGINX, TAG)
        state = upstream.state()
        assert state.circuit is Circuit.OPEN
        assert state.since is not None
        assert state.next_probe_at is not None
        asked = double.count()
        with pytest.raises(Unavailable, match=r"does not answer since \d\d:\d\d UTC \(500 .*Next try") as caught:
            await upstream.blob(NGINX, LAYER_DIGEST)
        assert 1 <= caught.value.retry_after <= 60
        assert double.count() == asked
        assert not await upstream.probe()
        assert upstream.state().since == state.since
        double.be_honest()
        assert await upstream.probe()
        assert upstream.state().circuit is Circuit.CLOSED
        held(await upstream.head(NGINX, TAG))


async def test_a_call_is_the_trial_and_the_only_one_if_a_probe_was_awaited_in_vain(double: DishonestUpstream) -> None:
    clock = ShiftedClock()
    double.play(bad.status(500))
    probes = {"probe_seconds": 60.0, "probe_seconds_max": 60.0, "probe_awaited_seconds": 100.0}
    async with client(double.url, clock, **probes) as upstream:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await upstream.head(NGINX, TAG)
        gate = asyncio.Event()
        double.play(bad.wait_for(gate), method="GET")
        asked = double.count()
        clock.shift = 61
        with pytest.raises(Unavailable, match="does not answer since"):
            await upstream.manifest(NGINX, TAG)
        assert double.count() == asked
        clock.shift = 161
        trial = asyncio.create_task(upstream.manifest(NGINX, TAG))
        await until(lambda: double.count() > asked)
        assert upstream.state().circuit is Circuit.HALF_OPEN
        with pytest.raises(Unavailable, match="does not answer since"):
            await upstream.manifest(NGINX, TAG)
        gate.set()
        held(await trial)
        assert upstream.state().circuit is Circuit.CLOSED


async def test_new_credentials_close_the_circuit(double: DishonestUpstream) -> None:
    double.play(bad.status(500))
    async with client(double.url, probe_seconds=60.0, probe_seconds_max=60.0) as upstream:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await upstream.head(NGINX, TAG)
        double.be_honest()
        upstream.renew("anna", "secret")
        held(await upstream.head(NGINX, TAG))


async def test_bad_answers_and_absences_do_not_open_the_circuit(double: DishonestUpstream) -> None:
    double.play(bad.other_bytes(), method="GET")
    async with client(double.url) as upstream:
        for _ in range(5):
            with pytest.raises(Unavailable):
                await upstream.manifest(NGINX, TAG)
            assert isinstance(await upstream.head(NGINX, Tag("none")), Absent)
        assert upstream.state().circuit is Circuit.CLOSED
        assert upstream.state().bad_answers == 5


async def test_a_web_page_does_not_pass_for_a_registry_in_a_probe(double: DishonestUpstream) -> None:
    double.play(bad.web_page())
    async with client(double.url) as upstream:
        assert not await upstream.probe()
        double.be_honest()
        double.play(bad.challenge("Basic"), "/v2/$")
        assert await upstream.probe()


async def test_a_limit_is_said_with_its_seconds_and_not_asked_against(double: DishonestUpstream) -> None:
    double.play(bad.limited(retry_after=30), "/manifests/")
    clock = ShiftedClock()
    async with client(double.url, clock) as upstream:
        with pytest.raises(UpstreamLimited, match="unauthenticated pull rate limit") as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.retry_after == 30
        assert upstream.state().limited_until is not None
        clock.shift = 10
        with pytest.raises(UpstreamLimited) as caught:
            await upstream.head(NGINX, TAG)
        assert caught.value.retry_after in (19, 20)
        assert double.count() == 1
        assert await all_of(await upstream.blob(NGINX, LAYER_DIGEST)) == LAYER
        double.be_honest()
        clock.shift = 31
        held(await upstream.manifest(NGINX, TAG))
        assert upstream.state().limited_until is None
        assert upstream.state().failures == 0


async def test_limits_without_a_time_last_longer_each_time(double: DishonestUpstream) -> None:
    double.play(bad.limited(), "/manifests/")
    clock = ShiftedClock()
    async with client(double.url, clock) as upstream:
        for seconds in (60, 120, 240):
            with pytest.raises(UpstreamLimited) as caught:
                await upstream.manifest(NGINX, TAG)
            assert caught.value.retry_after == seconds
            clock.shift += seconds + 1
        upstream.renew("anna", "secret")
        with pytest.raises(UpstreamLimited) as caught:
            await upstream.manifest(NGINX, TAG)
        assert caught.value.retry_after == 60


async def test_only_so_many_are_asked_at_once_and_the_others_wait_their_turn(double: DishonestUpstream) -> None:
    gate = asyncio.Event()
    script = double.play(bad.wait_for(gate, after=10), "/blobs/")
    async with client(double.url, fetches_at_once=3) as upstream:
        fetches = [asyncio.create_task(fetched(upstream.blob(NGINX, LAYER_DIGEST))) for _ in range(9)]
        await until(lambda: script.played == 3 and upstream.state().waiting == 6)
        held(await upstream.head(NGINX, TAG))
        fetches[4].cancel()
        gate.set()
        done = await asyncio.gather(*fetches, return_exceptions=True)
        assert [one for one in done if not isinstance(one, asyncio.CancelledError)] == [LAYER] * 8
        assert (upstream.state().fetching, upstream.state().waiting) == (0, 0)


async def test_fetches_that_hang_in_their_midst_keep_nobody_waiting_and_may_go_on(double: DishonestUpstream) -> None:
    gate = asyncio.Event()
    double.play(bad.wait_for(gate, after=10), "/blobs/", times=2)
    async with client(double.url, fetches_at_once=2, silent_seconds=0.05, stall_seconds=60.0) as upstream:
        hanging = [asyncio.create_task(fetched(upstream.blob(NGINX, LAYER_DIGEST))) for _ in range(2)]
        await until(lambda: double.count(path="/blobs/") == 2)
        assert await fetched(upstream.blob(NGINX, LAYER_DIGEST)) == LAYER
        assert not any(one.done() for one in hanging)
        gate.set()
        assert await asyncio.gather(*hanging) == [LAYER] * 2
        assert (upstream.state().fetching, upstream.state().waiting) == (0, 0)


async def fetched(asking: Awaitable[BlobStream | Absent]) -> bytes:
    return await all_of(await asking)


async def test_nobody_waits_on_for_an_upstream_that_stopped_answering(double: DishonestUpstream) -> None:
    double.play(bad.hang())
    async with client(double.url, fetches_at_once=3, answer_seconds=0.3, probe_seconds=60.0) as upstream:
        began = time.monotonic()
        asked = [upstream.manifest(NGINX, Tag(f"t{number}")) for number in range(30)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in ended)
        assert time.monotonic() - began < 3
        assert double.count() <= 6
        assert (upstream.state().fetching, upstream.state().waiting) == (0, 0)


@pytest.mark.parametrize("waiting_for", ["/blobs/", "/manifests/"])
async def test_those_who_wait_behind_others_are_let_go_when_the_circuit_opens(
    double: DishonestUpstream, waiting_for: str
) -> None:
    gate = asyncio.Event()
    script = double.play(bad.wait_for(gate, after=10), waiting_for, method="GET")
    settings = {"answer_seconds": 20.0, "probe_seconds": 60.0, "failures_to_open": 1}
    async with client(double.url, None, fetches_at_once=1, **settings) as upstream:

        def ask() -> asyncio.Task[bytes]:
            if waiting_for == "/blobs/":
                return asyncio.create_task(fetched(upstream.blob(NGINX, LAYER_DIGEST)))
            return asyncio.create_task(body_of(upstream.manifest(NGINX, TAG)))

        first = ask()
        await until(lambda: script.played == 1)
        behind = [ask() for _ in range(5)]
        await until(lambda: upstream.state().waiting == 5)
        await double.stop_listening()
        assert not await upstream.probe()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(asyncio.gather(*behind), 2)
        await until(lambda: upstream.state().waiting == 0)
        assert not first.done()
        gate.set()
        assert await first


async def body_of(asking: Awaitable[UpstreamManifest | Absent]) -> bytes:
    return held(await asking).body or b""


async def test_a_turn_that_comes_in_the_moment_its_owner_goes_is_passed_on() -> None:
    turnstile = Turnstile(1)
    await turnstile.enter(5)
    leaving = asyncio.create_task(turnstile.enter(5))
    behind = asyncio.create_task(turnstile.enter(5))
    await until(lambda: turnstile.waiting == 2)
    turnstile.leave()
    leaving.cancel()
    await behind
    turnstile.leave()
    assert (turnstile.inside, turnstile.waiting) == (0, 0)


async def test_a_queue_that_does_not_move_is_left_in_time(double: DishonestUpstream) -> None:
    gate = asyncio.Event()
    double.play(bad.wait_for(gate, after=10), "/blobs/")
    async with client(double.url, fetches_at_once=1, queue_seconds=0.1) as upstream:
        stream = await upstream.blob(NGINX, LAYER_DIGEST)
        with pytest.raises(Unavailable, match="too many at once") as caught:
            await upstream.blob(NGINX, LAYER_DIGEST)
        assert caught.value.kind == "slow"
        gate.set()
        assert await all_of(stream) == LAYER


def test_limits_are_parsed_tolerantly() -> None:
    assert parse_amount("100;w=21600") == (100, 21600)
    assert parse_amount(" 97 ; w = 21600 ; burst=5") == (97, 21600)
    assert parse_amount("100, 100;w=60") == (100, 60)
    assert parse_amount("0") == (0, None)
    for text in ("", None, "many", "-3", ";w=5x"):
        assert parse_amount(text)[0] is None


def test_retry_after_is_seconds_or_a_date_and_bounded() -> None:
    now = 1_764_000_000_000_000
    date = format_datetime(datetime.fromtimestamp(now / 1e6 + 90, tz=UTC), usegmt=True)
    assert parse_retry_after("120", now) == 120
    assert parse_retry_after(date, now) == 90
    assert parse_retry_after("99999999999999999999", now) == 6 * 3600
    assert parse_retry_after("Mon, 01 Jan 2001 00:00:00 GMT", now) == 0
    for text in (None, "soon", "-5", "1.5", "Mon, 99 Foo 2001"):
        assert parse_retry_after(text, now) is None


def test_the_message_of_an_error_is_found_or_nothing() -> None:
    assert message_in(b'{"errors":[{"code":"X","message":"a\\nb"}]}') == "a\\nb"
    assert message_in(b'{"details":"too many"}') == "too many"
    for body in (b"", b"Too Many Requests", b"[]", b'{"errors":[]}', b'{"errors":[3]}', b'{"errors":{}}', b"[" * 99999):
        assert message_in(body) == ""
