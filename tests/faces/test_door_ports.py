"""A port as a whole: its certificate, its end, and others beside it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from time import monotonic

import pytest

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask
from pierhead.faces.door.server import Port, Settings
from tests.faces.door_ground import GET, Certificates, Sloth, many
from tests.faces.door_line import Line, door, echo, until


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


@pytest.mark.parametrize("way", ["new", "kept", "cold"])
async def test_a_request_that_comes_just_when_the_drain_begins_is_answered(way: str) -> None:
    loop = asyncio.get_running_loop()
    async with door(echo, Settings(warm_seconds=0 if way == "cold" else 5)) as house:
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", house.port.port))
        if way != "new":
            await loop.sock_sendall(sock, GET % b"/first")
            assert (await loop.sock_recv(sock, 4096)).startswith(b"HTTP/1.1 200")
        await until(lambda: house.port.connections == 1, "a connection")
        if way == "cold":
            # Behind the look of the loop at its sockets, and before that of the drain at its connections.
            loop.call_soon(lambda: loop.call_soon(sock.send, GET % b"/late"))
        draining = loop.create_task(house.port.drain(20))
        if way != "cold":
            await asyncio.sleep(0.05)
            sock.send(GET % b"/late")
        heard = await asyncio.wait_for(loop.sock_recv(sock, 4096), 10)
        assert heard.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in heard
        assert await draining == 0
        sock.close()


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
