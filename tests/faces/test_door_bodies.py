"""Bodies of requests: how they arrive, and what becomes of those that nobody wants."""

from __future__ import annotations

import asyncio
import json

import pytest

from pierhead.faces.door.ask import Answer, Ask, Gone, TooLarge
from pierhead.faces.door.server import Settings
from tests.faces.door_line import door, echo, until


async def test_a_body_arrives_whole_however_it_is_cut() -> None:
    body = bytes(range(256)) * 1000
    async with door(echo) as house:
        line = await house.line()
        assert (await line.ask("/", "PUT", body)).body == body
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 10_000):
            part = body[start : start + 10_000]
            await line.send(b"%x;why=not\r\n%b\r\n" % (len(part), part))
        await line.send(b"0\r\nTrailer: dropped\r\n\r\n")
        assert (await line.hear()).body == body
        assert (await line.ask("/")).body == b"nothing"


async def test_a_gzipped_body_stays_as_it_is() -> None:
    body = b"\x1f\x8b\x08\x00not really gzip"
    async with door(echo) as house:
        heard = await (await house.line()).ask("/", "PUT", body, extra="Content-Encoding: gzip\r\n")
        assert heard.body == body


async def test_100_continue_is_sent_when_the_body_is_first_read() -> None:
    async with door(echo) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (await line.hear()).status == 100
        await line.send(b"hello")
        assert (await line.hear()).body == b"hello"


async def test_no_100_continue_for_a_body_that_is_refused() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(401, [("WWW-Authenticate", "Basic")], b"no")

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        heard = await line.hear()
        assert (heard.status, heard.get("Connection")) == (401, "close")
        assert await line.ended() == b""


async def test_other_expectations_are_refused() -> None:
    async with door(echo) as house:
        heard = await (await house.line()).ask("/", "PUT", b"x", extra="Expect: a-miracle\r\n")
        assert heard.status == 417


async def test_a_small_body_that_nobody_reads_costs_no_connection() -> None:
    async def handler(ask: Ask) -> Answer:
        await asyncio.sleep(0.05)
        return Answer(401)

    async with door(handler) as house:
        line = await house.line()
        assert (await line.ask("/", "PUT", b"x" * 1000)).get("Connection") is None
        assert (await line.ask("/", "PUT", b"x" * 1000)).status == 401


async def test_a_large_body_that_nobody_reads_is_not_swallowed() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(401, (), b"who are you")

    async with door(handler, Settings(linger_seconds=0.2)) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n")
        sent = 0
        try:
            while sent < 500_000_000:
                await line.send(b"x" * 65536)
                sent += 65536
        except ConnectionError:
            pass
        assert sent < 100_000_000
        (told,) = house.told
        assert told[1] == 401


async def test_the_refusal_of_an_upload_can_be_read() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(401, (), b"who are you")

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 1_000_000)
        heard = await line.hear()
        assert (heard.status, heard.body, heard.get("Connection")) == (401, b"who are you", "close")


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    async def handler(ask: Ask) -> Answer:
        try:
            await ask.body(10)
        except TooLarge:
            return Answer(413, (), b"ours")
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert (await line.hear()).body == b"ours"
    async with door(echo) as house:
        line = await house.line()
        await line.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        part = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        await line.send(part * 17)
        heard = await line.hear()
        assert heard.status == 413
        assert json.loads(heard.body)["errors"][0]["code"] == "SIZE_INVALID"


@pytest.mark.parametrize("head", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_inside_its_body_is_gone(head: str) -> None:
    seen: list[object] = []

    async def handler(ask: Ask) -> Answer:
        try:
            while pieces := await ask.chunks():
                seen.extend(pieces)
        except Gone as gone:
            seen.append(gone)
            assert ask.gone()
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(f"PUT / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + b"5\r\nhello\r\n")
        await until(lambda: len(seen) > 0, "the first bytes")
        line.writer.close()
        await until(lambda: isinstance(seen[-1], Gone), "Gone")
