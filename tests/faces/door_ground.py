"""What several tests of the door share: a file to send, certificates to send it under, and a lazy reader of it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import trustme

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask, FileSlice, Stream
from pierhead.faces.door.server import tls_context

MIB = 1 << 20
CONTENT = os.urandom(5 * MIB + 123)
SIZE = len(CONTENT)


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
