"""The door as a well-behaved client sees it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, Stream
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


def test_the_door_works_on_the_standard_event_loop_too() -> None:
    async def run() -> None:
        async with door(echo) as house:
            line = await house.line()
            assert (await line.ask("/", "PUT", b"abc")).body == b"abc"

    asyncio.run(run())
