"""Bodies that a thread reads straight from the socket, past the HTTP server."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from time import monotonic

import pytest

from pierhead.faces.door.ask import Answer, Ask, Gone
from pierhead.faces.door.server import Settings
from pierhead.faces.door.tap import Tap
from tests.faces.door_ground import Certificates
from tests.faces.door_line import Line, door, until

BODY = os.urandom(5_000_011)
BEHIND = b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"
QUICK = Settings(body_idle_seconds=0.4, pace_seconds=0.5, linger_seconds=0.1)


class Basin:
    """Takes a body whichever way it comes, and counts by which."""

    def __init__(self, buffer: int = 300_001, draws_max: int = 4) -> None:
        self._view = memoryview(bytearray(buffer))
        self._draws_max = draws_max
        self.whole = hashlib.sha256()
        self.drawn = 0
        self.appended = 0

    async def append(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self.whole.update(piece)
            self.appended += len(piece)

    async def draw(self, source: Tap) -> None:
        await asyncio.to_thread(self._draw, source)

    def _draw(self, source: Tap) -> None:
        for _ in range(self._draws_max):
            count = source.read_into(self._view)
            self.whole.update(self._view[:count])
            self.drawn += count
            if count < len(self._view):
                break

    async def take(self, ask: Ask) -> None:
        """Pours what comes quickly, and waits for the rest."""
        await ask.pour(self)
        while await self._wait(ask):
            pass

    async def _wait(self, ask: Ask) -> bool:
        pieces = await ask.chunks()
        await self.append(pieces)
        return bool(pieces)


async def swallow(ask: Ask) -> Answer:
    """Says the digest of the body and how much of it came past the server."""
    basin = Basin()
    await basin.take(ask)
    assert ask.taken == basin.drawn + basin.appended
    return Answer(200, [("X-Drawn", str(basin.drawn)), ("X-Target", ask.target)], basin.whole.hexdigest().encode())


def put(body: bytes, extra: str = "") -> bytes:
    return f"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


@pytest.mark.parametrize("size", [1, 300_001, 1_200_004, len(BODY)])
async def test_what_stands_behind_a_body_is_the_next_request(size: int) -> None:
    body = BODY[:size]
    async with door(swallow) as house:
        line = await house.line()
        for _ in range(3):
            await line.send(put(body) + BEHIND + BEHIND)
            assert (await line.hear()).body == digest(body)
            assert (await line.hear()).get("X-Target") == "/behind"
            assert (await line.hear()).get("X-Target") == "/behind"


async def test_most_of_a_long_body_goes_past_the_server() -> None:
    async with door(swallow) as house:
        heard = await (await house.line()).ask("/", "PUT", BODY)
        assert heard.body == digest(BODY)
        assert int(heard.get("X-Drawn") or 0) > len(BODY) // 2


async def test_bodies_of_many_turns_follow_each_other_on_one_connection() -> None:
    async with door(swallow) as house:
        line = await house.line()
        for number in range(3):
            body = BODY * 6 + bytes([number])
            heard = await line.ask("/", "PUT", body)
            assert heard.body == digest(body)


async def test_a_request_that_comes_in_two_parts_behind_a_body_is_read() -> None:
    async with door(swallow) as house:
        line = await house.line()
        await line.send(put(BODY) + BEHIND[:20])
        assert (await line.hear()).body == digest(BODY)
        await line.send(BEHIND[20:])
        assert (await line.hear()).get("X-Target") == "/behind"


async def test_a_body_that_pauses_again_and_again_arrives_whole() -> None:
    async with door(swallow) as house:
        line = await house.line()
        await line.send(put(BODY)[:100])
        rest = put(BODY)[100:]
        for start in range(0, len(rest), 400_000):
            await line.send(rest[start : start + 400_000])
            await asyncio.sleep(0.03)
        heard = await line.hear()
        assert heard.body == digest(BODY)
        assert int(heard.get("X-Drawn") or 0) > len(BODY) - 400_000, "the server has read the rest after a pause"
        assert (await line.ask("/next")).get("X-Target") == "/next"


async def test_100_continue_is_sent_once() -> None:
    async with door(swallow) as house:
        line = await house.line()
        await line.send(put(BODY, "Expect: 100-continue\r\n")[: -len(BODY)])
        assert (await line.hear()).status == 100
        await line.send(BODY)
        assert (await line.hear()).body == digest(BODY)


@pytest.mark.parametrize("way", ["tls", "chunked"])
async def test_bodies_that_only_the_server_can_read_come_through_it(way: str, certificates: Certificates) -> None:
    tls = way == "tls"
    async with door(
        swallow, ssl=certificates.server if tls else None, client_tls=certificates.client if tls else None
    ) as house:
        line = await house.line()
        if tls:
            await line.send(put(BODY) + BEHIND)
        else:
            await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await line.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) + BEHIND)
        heard = await line.hear()
        assert (heard.body, heard.get("X-Drawn")) == (digest(BODY), "0")
        assert (await line.hear()).get("X-Target") == "/behind"


async def test_a_client_that_leaves_inside_its_body_is_gone_and_what_came_was_taken() -> None:
    basin, seen = Basin(), list[object]()

    async def handler(ask: Ask) -> Answer:
        try:
            await basin.take(ask)
        except Gone as gone:
            seen.append(gone)
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(put(BODY)[:-1000])
        line.writer.close()
        await until(lambda: bool(seen), "Gone")
        taken = basin.drawn + basin.appended
        assert taken > len(BODY) // 2
        assert basin.whole.hexdigest().encode() == digest(BODY[:taken])


@pytest.mark.parametrize("way", ["leaves", "resets", "is cut"])
async def test_whoever_goes_while_the_loop_waits_for_more_is_missed_at_once(way: str) -> None:
    asks, pauses, ends = list[Ask](), asyncio.Event(), list[Gone]()

    class Watch(Basin):
        async def draw(self, source: Tap) -> None:
            await super().draw(source)
            if source.dry:
                pauses.set()

    async def handler(ask: Ask) -> Answer:
        asks.append(ask)
        try:
            await Watch().take(ask)
        except Gone as gone:
            ends.append(gone)
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(put(BODY)[:-1000])
        await asyncio.wait_for(pauses.wait(), 10)
        before = len(os.listdir("/proc/self/fd"))
        if way == "leaves":
            line.writer.close()
        elif way == "resets":
            line.writer.transport.abort()
        else:
            asks[0].abort()
        await until(lambda: bool(ends), "Gone")
        await until(lambda: len(os.listdir("/proc/self/fd")) < before, "its descriptors")


class Leaky(Basin):
    """Fails in its first turn."""

    async def draw(self, source: Tap) -> None:
        await super().draw(source)
        raise OSError("the disk is full")


async def test_a_handler_that_gives_up_in_the_midst_swallows_nothing_more() -> None:
    async def handler(ask: Ask) -> Answer:
        with pytest.raises(OSError, match="full"):
            await ask.pour(Leaky(buffer=1000, draws_max=1))
        return Answer(400, (), b"enough")

    async with door(handler) as house:
        line = await house.line()
        await line.send(put(BODY)[:2_000_000])
        heard = await line.hear()
        assert (heard.status, heard.body, heard.get("Connection")) == (400, b"enough", "close")


async def test_a_sink_that_fails_loses_no_count_of_the_bytes() -> None:
    async def handler(ask: Ask) -> Answer:
        leaky, sound = Leaky(draws_max=1), Basin()
        with pytest.raises(OSError, match="full"):
            await ask.pour(leaky)
        taken = leaky.drawn + leaky.appended
        assert ask.taken == taken
        await sound.take(ask)
        return Answer(200, (), b"%d" % (taken + sound.drawn + sound.appended))

    async with door(handler) as house:
        line = await house.line()
        await line.send(put(BODY) + BEHIND)
        assert (await line.hear()).body == b"%d" % len(BODY)


async def _drip(line: Line) -> bytes:
    hearing = asyncio.create_task(line.ended())
    while not hearing.done():
        try:
            await line.send(b"x")
        except ConnectionError:
            break
        await asyncio.sleep(0.02)
    return await hearing


async def test_dripping_and_silent_bodies_get_408_while_others_go_on() -> None:
    async with door(swallow, QUICK) as house:
        slow = [await house.line() for _ in range(40)]
        for line in slow:
            await line.send(put(BODY)[:200_000])
        dripping = [asyncio.create_task(_drip(line)) for line in slow[:20]]
        others = await house.line()
        began = monotonic()
        for _ in range(5):
            assert (await others.ask("/", "PUT", BODY)).body == digest(BODY)
        assert monotonic() - began < 5
        for told in await asyncio.gather(*dripping):
            assert told.startswith(b"HTTP/1.1 408 ")
        for line in slow[20:]:
            assert (await line.hear()).status == 408


async def test_a_thread_that_reads_waits_only_a_moment() -> None:
    held: list[float] = []

    class Watch(Basin):
        def _draw(self, source: Tap) -> None:
            began = monotonic()
            super()._draw(source)
            held.append(monotonic() - began)

    async def handler(ask: Ask) -> Answer:
        await Watch(draws_max=100).take(ask)
        return Answer()

    async with door(handler, QUICK) as house:
        line = await house.line()
        await line.send(put(BODY)[:200_000])
        assert (await _drip(line)).startswith(b"HTTP/1.1 408 ")
    assert held
    assert min(held) < 0.1


async def test_no_descriptor_is_left_open() -> None:
    async with door(swallow) as house:
        line = await house.line()
        await line.ask("/", "PUT", BODY)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await line.ask("/", "PUT", BODY)
        assert len(os.listdir("/proc/self/fd")) == before
