"""A client that pushes, in a process of its own: ``python -m bench.pushing`` prints how many pushes it made.

Raw sockets and prepared bytes, so that it costs little beside the server that is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Client:
    """One connection."""

    def __init__(self, host: str, port: int, authorization: str) -> None:
        self.host, self.port = host, port
        self.place = f"{host}:{port}"
        self.head = f"Host: {host}:{port}\r\n" + (f"Authorization: {authorization}\r\n" if authorization else "")

    async def open(self) -> None:
        """Connects."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)

    async def ask(self, method: str, target: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
        """Sends a request and returns the ``Location`` of its answer. Raises RuntimeError unless that is 2xx."""
        head = f"{method} {target} HTTP/1.1\r\n{self.head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode())
        self.writer.write(body)
        await self.writer.drain()
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(answer.split(" ", 2)[1])
        location, length = "", 0
        for line in answer.split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            if name.lower() == "location":
                location = value
            elif name.lower() == "content-length":
                length = int(value)
        told = await self.reader.readexactly(length) if length else b""
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {target}: {status} {told[:300]!r}")
        return location

    async def push_blob(self, name: str, data: bytes) -> str:
        """POST, then PUT with all bytes; returns the digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        location = await self.ask("POST", f"/v2/{name}/blobs/uploads/")
        location = location.removeprefix(f"http://{self.host}:{self.port}")
        joint = "&" if "?" in location else "?"
        await self.ask("PUT", f"{location}{joint}digest={digest}", data)
        return digest


async def small_images(client: Client, name: str, seconds: float, worker: int) -> int:
    """Images of a config and one small layer, each under a tag of its own, for so long; returns how many."""
    await client.open()
    end, made = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        layer = os.urandom(1024)
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": made, "w": worker}).encode()
        layer_digest = await client.push_blob(name, layer)
        config_digest = await client.push_blob(name, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": len(config),
            },
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": len(layer)}
            ],
        }
        tag = f"t-{os.getpid()}-{worker}-{made}"
        await client.ask("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)
        made += 1
    return made


async def large_blobs(client: Client, name: str, size: int, count: int, worker: int) -> int:
    """``count`` different blobs of ``size`` bytes, one after another."""
    await client.open()
    data = bytearray(os.urandom(1 << 20) * (size >> 20))
    for number in range(count):
        data[:16] = os.urandom(16)
        data[16:24] = number.to_bytes(8, "big")
        await client.push_blob(name, bytes(data))
    return count


async def streams(client: Client, name: str, size: int) -> int:
    """One upload of ``size`` bytes in one PATCH, sent piece by piece from one buffer, and given up at its end: what it
    takes to receive is the same, and no client needs the bytes in memory."""
    await client.open()
    location = (await client.ask("POST", f"/v2/{name}/blobs/uploads/")).removeprefix(f"http://{client.place}")
    client.writer.write(f"PATCH {location} HTTP/1.1\r\n{client.head}Content-Length: {size}\r\n\r\n".encode())
    piece = os.urandom(1 << 18)
    for _ in range(size // len(piece)):
        client.writer.write(piece)
        await client.writer.drain()
    await client.reader.readuntil(b"\r\n\r\n")
    await client.ask("DELETE", location)
    return 1


async def main(host: str, port: str, authorization: str, name: str, what: str, amount: str, clients: str) -> None:
    """``what`` is ``small`` (``amount`` seconds), ``stream`` (``amount`` bytes), or a size (``amount`` blobs each)."""
    made = [Client(host, int(port), authorization) for _ in range(int(clients))]
    if what == "small":
        jobs = [small_images(client, name, float(amount), at) for at, client in enumerate(made)]
    elif what == "stream":
        jobs = [streams(client, name, int(amount)) for client in made]
    else:
        jobs = [large_blobs(client, name, int(what), int(amount), at) for at, client in enumerate(made)]
    print(sum(await asyncio.gather(*jobs)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
