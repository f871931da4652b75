"""The door as a well-behaved client sees it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import web

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, Gone, Stream, TooLarge
from pierhead.faces.door.server import ASK, Settings
from tests.faces.door_line import door, echo, until


async def test_an_answer_carries_our_name_a_date_and_its_length_once() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(200, {"Content-Type": "text/plain", "Content-Length": "7", "server": "other"}, b"bytes")

    async with door(handler) as house:
        heard = await (await house.line()).ask("/v2/")
        assert (heard.status, heard.body) == (200, b"bytes")
        assert heard.get("Server") == "Pierhead"
        assert heard.get("Content-Length") == "5"
        assert heard.get("Content-Type") == "text/plain"
        assert heard.get("Content-Encoding") is None
        assert parsedate_to_datetime(heard.get("Date") or "").tzinfo is not None


@pytest.mark.parametrize(
    ("raw", "target", "query"),
    [
        ("/v2/a%2Fb/../c//d", "/v2/a%2Fb/../c//d", ""),
        ("/v2/%zz/%00", "/v2/%zz/%00", ""),
        ("/v2/?n=1&last=a%2fb", "/v2/", "n=1&last=a%2fb"),
        ("/v2/?", "/v2/", ""),
        ("/v2/?a?b", "/v2/", "a?b"),
    ],
)
async def test_the_target_is_neither_decoded_nor_normalised(raw: str, target: str, query: str) -> None:
    async with door(echo) as house:
        heard = await (await house.line()).ask(raw)
        assert heard.get("X-Target") == target
        assert dict(heard.headers)["X-Query"] == query


async def test_a_request_knows_its_port_its_peer_and_its_headers() -> None:
    seen: list[Ask] = []

    async def handler(ask: Ask) -> Answer:
        seen.append(ask)
        assert ask.get("accept") == "a/b"
        assert ask.all("ACCEPT") == ["a/b", "c/d"]
        assert ask.get("X-None") is None
        assert ask.all("X-None") == []
        assert (ask.port, ask.peer, ask.tls, ask.length) == ("docker-hosted-dev", "127.0.0.1", False, 0)
        assert ask.local == ("127.0.0.1", house.port.port)
        assert await ask.chunks() == []
        return Answer()

    async with door(handler) as house:
        heard = await (await house.line()).ask("/", extra="Accept: a/b\r\nAccept: c/d\r\n")
        assert heard.status == 200
        assert seen[0].method == "GET"


async def test_head_declares_the_length_and_sends_no_body() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(200, (), b"12345") if ask.target == "/has" else Answer(200, (), length=12345)

    async with door(handler) as house:
        line = await house.line()
        assert (await line.ask("/has", "HEAD")).get("Content-Length") == "5"
        assert (await line.ask("/knows", "HEAD")).get("Content-Length") == "12345"
        assert (await line.ask("/has")).body == b"12345"


@pytest.mark.parametrize("status", [204, 304])
async def test_204_and_304_have_neither_body_nor_length_and_keep_the_connection(status: int) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(status, [("ETag", '"a"')], b"never")

    async with door(handler) as house:
        line = await house.line()
        for _ in range(2):
            heard = await line.ask("/")
            assert heard.status == status
            assert heard.get("Content-Length") is None
            assert heard.get("ETag") == '"a"'


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def handler(ask: Ask) -> Answer:
        await asyncio.sleep(0.02 if ask.target == "/0" else 0)
        return Answer(200, (), ask.target.encode())

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(50)))
        assert [(await line.hear()).body for _ in range(50)] == [b"/%d" % number for number in range(50)]


async def test_http_1_0_is_answered_and_closed_unless_asked_otherwise() -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return Stream(200, (), pieces()) if ask.target == "/stream" else Answer(200, (), b"x")

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await line.hear()).get("Connection") == "keep-alive"
        await line.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        heard = await line.hear()
        assert heard.get("Transfer-Encoding") is None
        assert heard.body == b"onetwo"
        line = await house.line()
        await line.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await line.hear()).get("Connection") == "close"
        assert await line.ended() == b""


async def test_connection_close_is_honoured() -> None:
    async with door(echo) as house:
        line = await house.line()
        assert (await line.ask("/", extra="Connection: close\r\n")).get("Connection") == "close"
        assert await line.ended() == b""


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


async def test_a_handler_runs_to_its_end_when_its_client_leaves() -> None:
    asked: list[Ask] = []
    left = asyncio.Event()

    async def handler(ask: Ask) -> Answer:
        asked.append(ask)
        await left.wait()
        ask.note["ran"] = "to its end"
        return Answer()

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(asked) == 1, "the request")
        line.writer.close()
        await until(asked[0].gone, "the disconnect")
        left.set()
        await until(lambda: len(house.told) == 1, "the report")
        assert house.told[0][1] == 0
        assert house.told[0][0].note == {"ran": "to its end"}


async def test_a_failing_handler_gives_500_and_keeps_its_words_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(ask: Ask) -> Answer:
        raise KeyError(ask.get("X-Secret"))

    with caplog.at_level(logging.DEBUG):
        async with door(handler) as house:
            line = await house.line()
            heard = await line.ask("/private", extra="X-Secret: hunter2\r\n")
            assert heard.status == 500
            error = json.loads(heard.body)["errors"][0]
            assert error["code"] == "UNKNOWN"
            assert "hunter2" not in heard.body.decode()
            assert (await line.ask("/again")).status == 500
            assert [status for _, status, _, _ in house.told] == [500, 500]
    assert "KeyError" in caplog.text
    assert "test_door_requests.py" in caplog.text
    assert "hunter2" not in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_line_break_in_a_header_of_ours_never_leaves(value: str) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(200, [("Location", value)], b"x")

    async with door(handler) as house:
        heard = await (await house.line()).ask("/")
        assert heard.status == 500
        assert heard.get("Location") is None
        assert heard.get("Set-Cookie") is None


async def test_every_answer_is_reported_once_with_what_faces_noted() -> None:
    async def handler(ask: Ask) -> Answer:
        if ask.query:
            ask.note["repository"] = "docker-group"
        return Answer(202, (), b"12345")

    async with door(handler) as house:
        line = await house.line()
        await line.ask("/a?b=c")
        await line.ask("/", "HEAD")
        await line.ask("/", "FROBNICATE")
        await until(lambda: len(house.told) == 3, "three reports")
        first, second, third = house.told
        assert (first[0].note, first[1], first[2]) == ({"repository": "docker-group"}, 202, 5)
        assert 0 <= first[3] < 60
        assert (second[1], second[2], second[0].noted) == (202, 0, False)
        assert third[1] == 400


@asynccontextmanager
async def application(*routes: web.RouteDef) -> AsyncIterator[dict[str, Any]]:
    """Options of a door that mount these routes under /api/."""
    pages = web.Application()
    pages.add_routes(routes)
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    try:
        yield {"pages": runner.server, "is_page": lambda raw: raw.startswith("/api/")}
    finally:
        await runner.cleanup()


async def test_pages_of_an_application_live_on_the_same_port() -> None:
    async def hello(request: web.Request) -> web.Response:
        ask = request[ASK]
        ask.note["page"] = "hello"
        return web.json_response({"port": ask.port, "got": await request.text()})

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("secret words")

    async with (
        application(web.post("/api/hello", hello), web.get("/api/broken", broken)) as options,
        door(echo, **options) as house,
    ):
        line = await house.line()
        for _ in range(2):
            heard = await line.ask("/api/hello", "POST", b"body")
            assert json.loads(heard.body) == {"port": "docker-hosted-dev", "got": "body"}
            assert heard.get("Server") == "Pierhead"
            assert (await line.ask("/v2/")).body == b"nothing"
        missing = await line.ask("/api/none")
        assert (missing.status, missing.get("Server")) == (404, "Pierhead")
        heard = await line.ask("/api/broken")
        assert (heard.status, b"secret" in heard.body) == (500, False)
        assert (await line.ask("http://x/api/hello")).status == 400
        line = await house.line()
        assert (await line.ask("/api/hello", "POST", b"x", extra="Host: y\r\n")).status == 400
        await until(lambda: len(house.told) == 8, "eight reports")
        assert house.told[0][0].note == {"page": "hello"}
        assert [status for _, status, _, _ in house.told] == [200, 200, 200, 200, 404, 500, 400, 400]
        assert house.port.running == 0


async def test_the_deadline_for_bodies_holds_for_pages_too() -> None:
    async def reads(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    settings = Settings(pace_seconds=0.4, linger_seconds=0.1)
    async with application(web.post("/api/reads", reads)) as options, door(echo, settings, **options) as house:
        line = await house.line()
        await line.send(b"POST /api/reads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhello")
        assert (await line.hear()).status == 408
        await until(lambda: house.port.running == 0 and len(house.told) == 1, "the report")


async def test_a_streaming_page_ends_with_its_client_or_at_the_end_of_the_drain() -> None:
    async def streams(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)
            await asyncio.sleep(0.01)

    async with application(web.get("/api/streams", streams)) as options, door(echo, **options) as house:
        lines = [await house.line() for _ in range(2)]
        for line in lines:
            await line.send(b"GET /api/streams HTTP/1.1\r\nHost: x\r\n\r\n")
            await line.reader.readexactly(2000)
        assert house.port.running == 2
        lines[0].writer.close()
        await until(lambda: house.port.running == 1, "the end of one page")
        assert await house.port.drain(0.2) == 1
        assert house.port.running == 0


def test_the_door_works_on_the_standard_event_loop_too() -> None:
    async def run() -> None:
        async with door(echo) as house:
            line = await house.line()
            assert (await line.ask("/", "PUT", b"abc")).body == b"abc"

    asyncio.run(run())
