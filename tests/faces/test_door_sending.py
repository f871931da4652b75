"""How answers leave the door: files, streams, stalled readers, TLS and the end of a port."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
import trustme

from pierhead.faces.door import sending
from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, FileSlice, Stream
from pierhead.faces.door.server import Port, Settings, tls_context
from tests.faces.door_line import Line, door, echo, until

MIB = 1 << 20


CONTENT = os.urandom(5 * MIB + 123)
SIZE = len(CONTENT)


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("door") / "blob"
    path.write_bytes(CONTENT)
    yield path
    path.unlink()


class Certificates:
    """An authority, and contexts for both sides of a connection."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.issue()
        self.server = tls_context(str(self.certificate), str(self.key))
        self.client = ssl.create_default_context()
        self.authority.configure_trust(self.client)

    def issue(self) -> None:
        leaf = self.authority.issue_cert("localhost")
        leaf.cert_chain_pems[0].write_to_path(self.certificate)
        leaf.private_key_pem.write_to_path(self.key)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


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


async def test_a_short_file_that_fits_in_one_read_is_a_500_instead(blob: Path) -> None:
    async def handler(ask: Ask) -> AnyAnswer:
        return FileSlice(200, (), str(blob), SIZE - 10, 100)

    async with door(handler) as house:
        assert (await (await house.line()).ask("/")).status == 500


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


class Sloth:
    """A client on a bare socket with a small buffer, which reads only when told."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.send(request)

    async def read(self, size: int) -> int:
        """Bytes read, 0 at the end."""
        try:
            return len(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, size), 10))
        except ConnectionError:
            return 0


LAZY = Settings(stall_seconds=0.4, pace_bytes=1024)
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


async def many(ask: Ask, blob: Path) -> AnyAnswer:
    """Much, by each of the ways that answers leave."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    if ask.target == "/stream":
        return Stream(200, (), endless())
    if ask.target == "/file":
        return FileSlice(200, (), str(blob), 0, 5 * MIB)
    return Answer(200, (), b"x" * 8 * MIB)


@pytest.mark.parametrize("target", [b"/stream", b"/file", b"/answer"])
async def test_a_reader_that_stalls_is_cut(blob: Path, target: bytes) -> None:
    async with door(lambda ask: many(ask, blob), LAZY) as house:
        sloth = Sloth(house.port.port, GET % target)
        await until(lambda: house.port.running == 1, "the request")
        await until(lambda: house.port.running == 0, "the cut")
        await until(lambda: house.port.connections == 0, "the end of the connection")
        sloth.socket.close()


@pytest.mark.parametrize("target", [b"/stream", b"/file", b"/answer"])
async def test_a_slow_reader_that_goes_on_reading_is_not_cut(blob: Path, target: bytes) -> None:
    async with door(lambda ask: many(ask, blob), LAZY) as house:
        sloth = Sloth(house.port.port, GET % target)
        last = monotonic() + 1.5
        while monotonic() < last:
            assert await sloth.read(8192) > 0
            await asyncio.sleep(0.02)
        assert house.port.running == 1
        sloth.socket.close()


async def test_a_reader_who_never_takes_the_last_answer_does_not_stay(blob: Path) -> None:
    settings = Settings(stall_seconds=0.3, idle_seconds=0.3, head_seconds=0.3, linger_seconds=0.1)

    async def handler(ask: Ask) -> AnyAnswer:
        return Answer(200, (), b"x" * 60_000)

    async with door(handler, settings) as house:
        sloth = Sloth(house.port.port, GET % b"/" * 400)
        await until(lambda: house.port.connections == 1, "the connection")
        await until(lambda: house.port.connections == 0, "its end")
        sloth.socket.close()


async def test_a_certificate_can_be_changed_while_the_port_is_open(certificates: Certificates) -> None:
    def serial(line: Line) -> object:
        return line.writer.get_extra_info("peercert")["serialNumber"]

    async with door(echo, ssl=certificates.server, client_tls=certificates.client) as house:
        first = await house.line()
        assert (await first.ask("/")).status == 200
        certificates.issue()
        certificates.server.load_cert_chain(certificates.certificate, certificates.key)
        second = await house.line()
        assert (await second.ask("/")).status == 200
        assert serial(first) != serial(second)
        assert (await first.ask("/")).status == 200


async def test_a_silent_handshake_ends_in_time(certificates: Certificates) -> None:
    async with door(echo, Settings(head_seconds=0.3), ssl=certificates.server) as house:
        line = Line(*await asyncio.open_connection("127.0.0.1", house.port.port))
        assert await line.ended() == b""
        line.writer.close()


async def test_a_request_over_tls_says_so(certificates: Certificates) -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(200, (), f"{ask.tls} {ask.peer}".encode())

    async with door(handler, ssl=certificates.server, client_tls=certificates.client) as house:
        assert (await (await house.line()).ask("/")).body == b"True 127.0.0.1"


async def test_draining_closes_idle_connections_at_once_and_answers_what_runs() -> None:
    go = asyncio.Event()

    async def handler(ask: Ask) -> Answer:
        if ask.target == "/slow":
            await go.wait()
        return Answer(200, (), await ask.body(100) or b"done")

    async with door(handler) as house:
        idle, silent, slow, sending_ = [await house.line() for _ in range(4)]
        await idle.ask("/")
        await slow.send(GET % b"/slow")
        await sending_.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
        await until(lambda: house.port.running == 2, "two requests")
        draining = asyncio.create_task(house.port.drain(10))
        assert await idle.ended() == b""
        assert await silent.ended() == b""
        with pytest.raises(ConnectionRefusedError):
            await house.line()
        assert not draining.done()
        await sending_.send(b"world")
        heard = await sending_.hear()
        assert (heard.body, heard.get("Connection")) == (b"helloworld", "close")
        go.set()
        heard = await slow.hear()
        assert (heard.body, heard.get("Connection")) == (b"done", "close")
        assert await draining == 0
        assert house.port.connections == 0


async def test_draining_cuts_at_its_deadline_what_does_not_end(blob: Path) -> None:
    cancelled = asyncio.Event()

    async def handler(ask: Ask) -> AnyAnswer:
        if ask.target == "/never":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return await many(ask, blob)

    async with door(handler) as house:
        never = await house.line()
        await never.send(GET % b"/never")
        sloth = Sloth(house.port.port, GET % b"/file")
        await until(lambda: house.port.running == 2, "two requests")
        began = monotonic()
        assert await house.port.drain(0.3) == 2
        assert monotonic() - began < 5
        assert cancelled.is_set()
        assert house.port.running == 0
        sloth.socket.close()


async def test_a_port_can_be_opened_again_and_a_taken_one_says_so() -> None:
    port = Port(echo, "one", "127.0.0.1")
    await port.open()
    with pytest.raises(OSError, match="in use"):
        await Port(echo, "two", "127.0.0.1", port.port).open()
    number = port.port
    await port.drain(1)
    await port.open()
    assert port.port == number
    line = Line(*await asyncio.open_connection("127.0.0.1", number))
    assert (await line.ask("/")).status == 200
    await port.drain(1)
    line.writer.close()


async def test_ten_ports_live_in_one_process_and_one_takes_a_bound_socket() -> None:
    async def handler(ask: Ask) -> Answer:
        return Answer(200, (), str(ask.port).encode())

    sock = socket.create_server(("127.0.0.1", 0))
    ports = [Port(handler, number, "127.0.0.1") for number in range(9)] + [Port(handler, 9, sock=sock)]
    for port in ports:
        await port.open()
    try:
        for number, port in enumerate(ports):
            line = Line(*await asyncio.open_connection("127.0.0.1", port.port))
            assert (await line.ask("/")).body == str(number).encode()
            line.writer.close()
    finally:
        for port in ports:
            await port.drain(1)
