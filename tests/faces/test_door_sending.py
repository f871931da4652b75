"""How answers leave the door: files and streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead.faces.door import sending
from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, FileSlice, Stream
from tests.faces.door_ground import CONTENT, MIB, SIZE, Certificates
from tests.faces.door_line import door, until

SLICES = ((0, 1), (0, 1000), (7, 128 << 10), (7, (128 << 10) + 1), (1000, MIB), (SIZE - 10, 10), (3, SIZE - 3))


def open_files() -> list[str]:
    """What the descriptors of this process stand for."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("by", ["path", "descriptor"])
async def test_slices_of_a_file_arrive_exactly_and_the_next_request_follows(
    blob: Path, tls: bool, by: str, certificates: Certificates
) -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        if ask.target == "/small":
            return Answer(200, (), b"small")
        offset, count = map(int, ask.query.split("-"))
        path: str | int = str(blob) if by == "path" else os.open(blob, os.O_RDONLY)
        return FileSlice(206, [("ETag", '"e"')], path, offset, count)

    options = {"ssl": certificates.server, "client_tls": certificates.client} if tls else {}
    async with door(handler, **options) as house:  # type: ignore[arg-type]
        line = await house.line()
        for offset, count in SLICES:
            both = f"GET /f?{offset}-{count} HTTP/1.1\r\nHost: x\r\n\r\nGET /small HTTP/1.1\r\nHost: x\r\n\r\n"
            await line.send(both.encode())
            heard = await line.hear()
            assert (heard.status, heard.get("Content-Length"), heard.get("ETag")) == (206, str(count), '"e"')
            assert heard.body == CONTENT[offset : offset + count]
            assert (await line.hear()).body == b"small"
        assert [sent for ask, _, sent, _ in house.told if ask.query] == [count for _, count in SLICES]
        after_one = len(open_files())
        for _ in range(5):
            await line.ask(f"/f?0-{MIB}")
        assert len(open_files()) == after_one
    assert str(blob) not in open_files()


async def test_a_large_file_waits_for_the_answers_in_front_of_it(blob: Path) -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), str(blob), 0, MIB) if ask.target == "/f" else Answer(200, (), b"a" * 60_000)

    async with door(handler) as house:
        line = await house.line(limit=1024)
        await line.send((b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 40 + b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n") * 2)
        for _ in range(2):
            for _ in range(40):
                assert (await line.hear()).body == b"a" * 60_000
            assert (await line.hear()).body == CONTENT[:MIB]


async def test_head_of_a_file_declares_its_length_and_opens_nothing() -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), "/nowhere/at/all", 0, 12345)

    async with door(handler) as house:
        assert (await (await house.line()).ask("/", "HEAD")).get("Content-Length") == "12345"


async def test_a_file_that_cannot_be_opened_is_a_503(blob: Path) -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), "/nowhere/at/all", 0, 12345)

    async with door(handler) as house:
        line = await house.line()
        assert (await line.ask("/")).status == 503
        assert (await line.ask("/")).status == 503


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_file_shorter_than_declared_cuts_the_connection(
    blob: Path, tls: bool, certificates: Certificates
) -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), str(blob), 0, SIZE + MIB)

    options = {"ssl": certificates.server, "client_tls": certificates.client} if tls else {}
    async with door(handler, **options) as house:  # type: ignore[arg-type]
        line = await house.line()
        heard = await line.ask("/")
        assert heard.get("Content-Length") == str(SIZE + MIB)
        assert not heard.whole
        assert await line.ended() == b""


async def test_a_short_file_that_fits_in_one_read_is_a_503_instead_and_told(blob: Path) -> None:
    told: list[object] = []

    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), str(blob), SIZE - 10, 100, told.append, "this file")

    async with door(handler) as house:
        assert (await (await house.line()).ask("/")).status == 503
    assert told == ["this file"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_cold_file_is_read_in_a_thread(
    blob: Path, tls: bool, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether pages are in memory is up to the kernel, so a probe that never finds them stands for a cold disk."""

    def cold(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(sending, "preadv", cold)

    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), str(blob), 5, int(ask.query))

    options = {"ssl": certificates.server, "client_tls": certificates.client} if tls else {}
    async with door(handler, **options) as house:  # type: ignore[arg-type]
        line = await house.line()
        for count in (1000, 3 * MIB):
            assert (await line.ask(f"/?{count}")).body == CONTENT[5 : 5 + count]


class Pieces:
    """Pieces of a body, and whether they were closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def stream(self, length: int | None) -> Stream:
        async def run() -> AsyncIterator[bytes]:
            try:
                async for piece in self:
                    yield piece
            finally:
                self.closed = True

        return Stream(200, (), run(), length)


@pytest.mark.parametrize("length", [None, 100_006])
async def test_a_stream_arrives_whole_and_the_connection_is_kept(length: int | None) -> None:
    pieces = Pieces(b"", b"abc", b"", b"x" * 100_000, b"def")

    async def handler(ask: Ask) -> AnyAnswer:
        return pieces.stream(length)

    async with door(handler) as house:
        line = await house.line()
        for _ in range(2):
            heard = await line.ask("/")
            assert heard.body == b"abc" + b"x" * 100_000 + b"def"
            assert heard.get("Content-Length") == (None if length is None else str(length))
            assert pieces.closed
        assert house.told[0][2] == 100_006


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        ((b"abc",), 4),
        ((b"abc", b"defg"), 6),
        ((b"abc", RuntimeError("upstream")), 6),
        ((b"abc", RuntimeError("upstream")), None),
    ],
    ids=["short", "long", "failed", "failed without length"],
)
async def test_a_stream_that_breaks_cuts_the_connection(
    pieces: tuple[bytes | Exception, ...], length: int | None
) -> None:
    source = Pieces(*pieces)

    async def handler(ask: Ask) -> AnyAnswer:
        return source.stream(length)

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = await line.ended()
        assert heard.count(b"HTTP/1.1") <= 1, "the next answer must not land inside this body"
        assert not heard.endswith(b"0\r\n\r\n")
        assert source.closed
        assert len(house.told) == 1


@pytest.mark.parametrize("length", [None, 5])
async def test_a_stream_that_fails_before_its_first_piece_is_a_500(length: int | None) -> None:
    source = Pieces(RuntimeError("upstream"))

    async def handler(ask: Ask) -> AnyAnswer:
        return source.stream(length)

    async with door(handler) as house:
        assert (await (await house.line()).ask("/")).status == 500


async def test_head_of_a_stream_declares_its_length_and_closes_it() -> None:
    source = Pieces(b"12345")

    async def handler(ask: Ask) -> AnyAnswer:
        return Stream(200, (), aiter(source), 5)

    async with door(handler) as house:
        assert (await (await house.line()).ask("/", "HEAD")).get("Content-Length") == "5"


async def test_a_stream_stops_when_its_client_leaves() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def handler(ask: Ask) -> AnyAnswer:
        return Stream(200, (), endless())

    async with door(handler) as house:
        line = await house.line()
        await line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await line.reader.readexactly(200_000)
        line.writer.transport.abort()
        await asyncio.wait_for(closed.wait(), 10)
        await until(lambda: house.port.running == 0, "the end of the request")
