"""The door as a hostile or broken client sees it: what is refused, and what is cut when."""

from __future__ import annotations

import asyncio
import json
import logging
from time import monotonic

import pytest

from pierhead.faces.door.ask import Answer, Ask, Gone
from pierhead.faces.door.server import Room, Settings
from tests.faces.door_line import Line, door, echo, until

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# Name -> bytes in front of the smuggled request (RFC 9112 sections 2.2, 5, 6 and 11.2 say why each is refused).
PROBES = {
    "length and encoding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n",
    "a signed length": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n",
    "a huge length": POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity and chunked": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"Content-Length: 0\r\nX-A: b\r\n folded\r\n\r\n",
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a bare carriage return": POST + b"X-A: b\rContent-Length: 40\r\n\r\n",
    "NUL in a value": POST + b"X-A: b\0c\r\n\r\n",
    "NUL in a name": POST + b"X\0A: b\r\n\r\n",
    "no colon": POST + b"Nonsense\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": POST + b"Host: y\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: registry/../admin\r\n\r\n",
    "a host with a query": b"GET / HTTP/1.1\r\nHost: x/y?z\r\n\r\n",
    "a host with an account": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "an absolute target": b"GET http://x/v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without slash": b"GET v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star as target": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the target": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an overflowing chunk size": CHUNKED + b"fffffffffffffffff\r\n",
    "a signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefixed chunk size": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a bare line feed after a chunk size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a bare line feed after a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("split", [False, True], ids=["at once", "in two"])
@pytest.mark.parametrize("name", PROBES)
async def test_a_smuggling_probe_gets_400_and_the_second_request_never_runs(
    name: str, split: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    async def handler(ask: Ask) -> Answer:
        ran.append(ask.target)
        return await echo(ask)

    with caplog.at_level(logging.DEBUG):
        async with door(handler) as house:
            line = await house.line()
            await line.send(PROBES[name])
            if split:
                await asyncio.sleep(0.02)
            try:
                await line.send(SMUGGLED)
            except ConnectionError:
                pass
            heard = await line.ended()
            assert heard.count(b"HTTP/1.1 ") <= 1
            if heard:
                assert heard.startswith(b"HTTP/1.1 400 ")
                assert b"Connection: close" in heard
                assert set(json.loads(heard.split(b"\r\n\r\n", 1)[1])) == {"errors"}
            else:
                pytest.fail("closed without an answer")
            assert "/smuggled" not in ran
            assert [status for _, status, _, _ in house.told] == [400]
    for word in ("smuggled", "hello", "xchunked", "registry", "Nonsense"):
        assert word not in caplog.text


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "LINK", "SOURCE"])
async def test_methods_that_nobody_serves_are_refused(method: str) -> None:
    async with door(echo) as house:
        line = await house.line()
        await line.send(f"{method} {'x:1' if method == 'CONNECT' else '/'} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        heard = await line.hear()
        assert heard.status == 405
        assert "GET" in (heard.get("Allow") or "")
        assert await line.ended() == b""


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"GET /" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
        (b"GET /?" + b"a=1&" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 65_536 + b"\r\n\r\n", {431}),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n", {431}),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"X-A: " + b"b" * 8000 + b"\r\n") * 9 + b"\r\n", {431}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a=b; " * 10_000 + b"\r\n\r\n", {431}),
    ],
    ids=["long path", "many parameters", "long header", "many headers", "large head", "many cookies"],
)
async def test_a_head_beyond_the_limits_is_refused(request_: bytes, statuses: set[int]) -> None:
    async with door(echo) as house:
        line = await house.line()
        await line.send(request_)
        assert (await line.hear()).status in statuses
        assert await line.ended() == b""


async def test_a_token_of_eight_kilobytes_and_ninety_headers_pass() -> None:
    async with door(echo) as house:
        extra = f"Authorization: Bearer {'a' * 8192}\r\n" + "".join(f"X-{number}: a\r\n" for number in range(90))
        assert (await (await house.line()).ask("/", extra=extra)).status == 200


async def test_a_flood_of_headers_is_cut_early() -> None:
    async with door(echo) as house:
        line = await house.line()
        await line.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        try:
            while sent < 100_000_000:
                await line.send(b"X-A: " + b"a" * 60_000 + b"\r\n")
                sent += 60_000
        except ConnectionError:
            pass
        assert sent < 20_000_000


async def test_a_head_that_ends_between_two_packets_is_no_flood() -> None:
    async with door(echo, Settings(head_bytes=200)) as house:
        line = await house.line()
        for cut in range(1, 5):
            head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
            await line.send(head[:-cut])
            await asyncio.sleep(0.02)
            await line.send(head[-cut:] + b"x" * 2000)
            await asyncio.sleep(0.02)
            await line.send(b"x" * 3000)
            assert len((await line.hear()).body) == 5000


QUICK = Settings(
    head_seconds=0.3,
    idle_seconds=0.6,
    body_idle_seconds=0.3,
    pace_seconds=0.5,
    stall_seconds=0.4,
    linger_seconds=0.1,
)


async def drip(line: Line, data: bytes = b"X-A: b\r\n" * 1000) -> bytes:
    """Send byte by byte until the connection ends; returns what came meanwhile."""
    hearing = asyncio.create_task(line.ended())
    for byte in data:
        if hearing.done():
            break
        try:
            await line.send(bytes([byte]))
        except ConnectionError:
            break
        await asyncio.sleep(0.03)
    return await hearing


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-A"])
async def test_a_head_that_never_ends_is_given_up(said: bytes) -> None:
    async with door(echo, QUICK) as house:
        line = await house.line()
        began = monotonic()
        if said:
            await line.send(said)
        heard = await line.ended()
        assert heard.startswith(b"HTTP/1.1 408 ") if said else heard == b""
        assert monotonic() - began >= 0.25
        await until(lambda: house.port.connections == 0, "the end of the connection")


async def test_a_dripping_head_is_given_up_on_a_new_and_on_a_kept_connection() -> None:
    async with door(echo, QUICK) as house:
        for kept in (False, True):
            line = await house.line()
            if kept:
                assert (await line.ask("/")).status == 200
            heard = await drip(line, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100)
            assert heard.startswith(b"HTTP/1.1 408 ")


async def test_blank_lines_do_not_buy_time() -> None:
    async with door(echo, Settings(head_seconds=0.3, idle_seconds=60)) as house:
        line = await house.line()
        await line.ask("/")
        await line.send(b"\r\n\r\n")
        await asyncio.sleep(0.02)
        await line.send(b"GET / HT")
        await line.ended()


async def test_an_idle_connection_is_kept_for_its_time_and_closed_then() -> None:
    async with door(echo, QUICK) as house:
        line = await house.line()
        for _ in range(3):
            await line.ask("/")
            await asyncio.sleep(0.35)
        began = monotonic()
        assert await line.ended() == b""
        assert monotonic() - began < 5


async def test_a_silent_body_gets_408() -> None:
    async with door(echo, QUICK) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello")
        heard = await line.hear()
        assert (heard.status, heard.get("Connection")) == (408, "close")
        await line.ended()
        assert house.told[0][1] == 408


@pytest.mark.parametrize("head", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1000\r\n"])
async def test_a_dripping_body_gets_408(head: bytes) -> None:
    async with door(echo, QUICK) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\n" + head)
        assert (await drip(line)).startswith(b"HTTP/1.1 408 ")


async def test_a_slow_handler_is_not_a_slow_client() -> None:
    async def handler(ask: Ask) -> Answer:
        await asyncio.sleep(0.7)
        size = 0
        while pieces := await ask.chunks():
            size += sum(map(len, pieces))
            await asyncio.sleep(0.2)
        return Answer(200, (), b"%d" % size)

    async with door(handler, QUICK) as house:
        line = await house.line()
        assert (await line.ask("/", "PUT", b"x" * 3_000_000)).body == b"3000000"


async def test_a_handler_may_see_the_deadline_itself() -> None:
    async def handler(ask: Ask) -> Answer:
        try:
            await ask.body(1000)
        except TimeoutError:
            assert ask.stalled()
            return Answer(400, (), b"too slow for me")
        return Answer()

    async with door(handler, QUICK) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello")
        assert (await line.hear()).body == b"too slow for me"


async def test_a_timeout_of_our_own_is_not_blamed_on_the_client() -> None:
    async def handler(ask: Ask) -> Answer:
        raise TimeoutError("the database")

    async with door(handler) as house:
        assert (await (await house.line()).ask("/")).status == 500


async def test_a_broken_chunk_reaches_a_waiting_reader_at_once() -> None:
    seen: list[object] = []

    async def handler(ask: Ask) -> Answer:
        try:
            while pieces := await ask.chunks():
                seen.extend(pieces)
        except Gone as gone:
            seen.append(gone)
            raise
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await until(lambda: seen == [b"hello"], "the first chunk")
        await line.send(b"nonsense\r\n")
        assert (await line.hear()).status == 400
        assert isinstance(seen[-1], Gone)


async def test_connections_beyond_the_cap_are_told_and_closed_and_places_come_back() -> None:
    room = Room(3)
    async with door(echo, room=room) as house:
        lines = [await house.line() for _ in range(3)]
        for line in lines:
            assert (await line.ask("/")).status == 200
        late = await house.line()
        heard = await late.hear()
        assert (heard.status, heard.get("Connection")) == (503, "close")
        assert heard.get("Retry-After") is not None
        assert await late.ended() == b""
        lines[0].writer.close()
        await until(lambda: room.taken == 2, "a free place")
        assert (await (await house.line()).ask("/")).status == 200
    assert room.taken == 0


async def test_a_flood_of_pipelined_requests_is_held_back() -> None:
    go = asyncio.Event()

    async def handler(ask: Ask) -> Answer:
        await go.wait()
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        sent = 0
        try:
            async with asyncio.timeout(1):
                while sent < 200_000:
                    await line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
                    sent += 1000
        except TimeoutError:
            pass
        assert sent < 200_000, "everything was taken although nothing was answered"
        go.set()


async def test_many_tiny_chunks_are_taken_in_bounded_time() -> None:
    async def handler(ask: Ask) -> Answer:
        size = 0
        while pieces := await ask.chunks():
            size += sum(map(len, pieces))
        return Answer(200, (), b"%d" % size)

    async with door(handler) as house:
        line = await house.line()
        await line.send(CHUNKED + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
        assert (await line.hear()).body == b"50000"


async def test_a_client_that_half_closes_costs_nothing() -> None:
    async with door(echo) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
        line.writer.write_eof()
        await line.ended()
        await until(lambda: house.port.running == 0 and house.port.connections == 0, "the end")
