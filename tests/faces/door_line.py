"""A client that speaks HTTP byte by byte, and a door to speak to."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from pierhead.faces.door.ask import Answer, Ask, Handler
from pierhead.faces.door.server import Port, Settings

PATIENCE = 10.0
LOGGER = logging.getLogger("tests.door")


@dataclass
class Heard:
    """One answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool = True

    def get(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} came twice"
        return found[0] if found else None


@dataclass
class Line:
    """A connection of the client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self, method: str = "GET") -> Heard:
        """The next answer; ``whole`` is False when the connection ended inside its body."""
        async with asyncio.timeout(PATIENCE):
            return await self._hear(method)

    async def _hear(self, method: str) -> Heard:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head[:-4].split("\r\n")
        pairs = [(line.split(": ", 1)[0], line.split(": ", 1)[1]) for line in lines]
        heard = Heard(int(first.split(" ")[1]), pairs, b"")
        if method == "HEAD" or heard.status in {100, 204, 304}:
            return heard
        try:
            if heard.get("Transfer-Encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    heard.body += await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                await self.reader.readexactly(2)
            elif (length := heard.get("Content-Length")) is not None:
                heard.body = await self.reader.readexactly(int(length))
            else:
                heard.body = await self.reader.read()
        except asyncio.IncompleteReadError as short:
            heard.body += short.partial
            heard.whole = False
        except ConnectionError:
            heard.whole = False
        return heard

    async def ask(self, target: str, method: str = "GET", body: bytes = b"", extra: str = "") -> Heard:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        await self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{length}{extra}\r\n".encode() + body)
        return await self.hear(method)

    async def ended(self) -> bytes:
        """What still comes until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            heard = b""
            try:
                while more := await self.reader.read(65536):
                    heard += more
            except ConnectionError:
                pass
            return heard


@dataclass
class House:
    """A door with what it reported."""

    port: Port
    told: list[tuple[Ask, int, int, float]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    async def line(self, **options: Any) -> Line:
        if self.tls is not None:
            options |= {"ssl": self.tls, "server_hostname": "localhost"}
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port.port, **options))
        self.lines.append(line)
        return line


@asynccontextmanager
async def door(
    handler: Handler,
    settings: Settings | None = None,
    *,
    client_tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[House]:
    """An open port on loopback, drained at the end."""
    told: list[tuple[Ask, int, int, float]] = []
    port = Port(
        handler,
        "docker-hosted-dev",
        "127.0.0.1",
        settings=settings,
        logger=LOGGER,
        on_answer=lambda ask, status, sent, seconds: told.append((ask, status, sent, seconds)),
        **options,
    )
    await port.open()
    house = House(port, told, tls=client_tls)
    try:
        yield house
    finally:
        for line in house.lines:
            line.writer.close()
        await port.drain(1.0)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition with patience for slow machines."""
    last = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < last, f"waited in vain for: {what}"
        await asyncio.sleep(0.005)


async def echo(ask: Ask) -> Answer:
    """Says what arrived; takes bodies of up to a mebibyte."""
    body = await ask.body(1 << 20)
    return Answer(200, [("X-Method", ask.method), ("X-Target", ask.target), ("X-Query", ask.query)], body or b"nothing")
