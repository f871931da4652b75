"""Pages of an application beside the registry, on the same port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pierhead.faces.door.server import ASK, Settings
from tests.faces.door_line import door, echo, until


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
