"""Many clients at once: a cold image costs its upstream one fetch, and idle connections cost the others nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import resource
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.images import Image, image, random_layer
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import LOOPBACK
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire

CLIENTS = 1_000
IDLE_MOST = 10_000
MIB = 1 << 20

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def cold(docker_registry: DockerRegistry) -> Image:
    """An image that the upstream has and nobody has pulled."""
    made = image([random_layer(2 * MIB, seed=7_001)], seed=7_001)
    with Wire(docker_registry.port) as hub:
        hub.push("library/cold", "1", made)
    return made


@pytest.fixture(scope="module")
def server(docker_registry: DockerRegistry) -> Iterator[Pierhead]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Pierhead(house(docker_registry.url)) as started:
            yield started
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def idle_connections() -> int:
    """As many as a process with this machine's limit of open files takes: three files for each."""
    return min(IDLE_MOST, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1_000) // 3)


def memory(server: Pierhead) -> int:
    """Resident, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


def request(server: Pierhead, target: str, port: str) -> bytes:
    login = base64.b64encode(f"admin:{server.admin_password}".encode()).decode()
    head = f"GET {target} HTTP/1.1\r\nHost: {server.address(port)}\r\nAuthorization: Basic {login}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode()


async def pull(server: Pierhead, sent: bytes, port: str) -> tuple[int, str]:
    """Status, and the digest of the body, which is hashed as it comes."""
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port(port))
    try:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        hasher = hashlib.sha256()
        while piece := await reader.read(1 << 16):
            hasher.update(piece)
        return int(head.split(b" ", 2)[1]), hasher.hexdigest()
    finally:
        writer.close()


async def at_once(job: Callable[[], Awaitable[tuple[int, str]]]) -> set[tuple[int, str]]:
    return set(await asyncio.gather(*(job() for _ in range(CLIENTS))))


def test_a_thousand_clients_of_a_cold_image_cost_the_upstream_one_fetch_of_each_part(
    server: Pierhead, cold: Image, docker_registry: DockerRegistry
) -> None:
    before = len(docker_registry.requests())
    group = "docker-group"
    wanted = [("manifests/1", cold.digest), *((f"blobs/{blob.digest}", blob.digest) for blob in cold.blobs)]
    for target, digest in wanted:
        sent = request(server, f"/v2/library/cold/{target}", group)
        heard = asyncio.run(at_once(lambda sent=sent: pull(server, sent, group)))  # type: ignore[misc]
        assert heard == {(200, digest.partition(":")[2])}
    asked = [line for line in docker_registry.requests()[before:] if '"GET /v2/library/cold' in line]
    assert len(asked) == len(wanted), asked
    assert memory(server) < 512 * MIB


def test_thousands_of_idle_connections_leave_the_others_quick_and_memory_bounded(server: Pierhead) -> None:
    rest = memory(server)

    async def idle() -> tuple[int, str]:
        opened = []
        try:
            for _ in range(idle_connections() // 100):
                hundred = await asyncio.gather(
                    *(asyncio.open_connection(LOOPBACK, server.port("docker-group")) for _ in range(100))
                )
                for _, writer in hundred[::2]:  # at once: who says nothing for long is shown out
                    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                opened += hundred
            for reader, _ in opened[::2]:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            sent = request(server, "/v2/", "docker-group")
            async with asyncio.timeout(10):
                return await pull(server, sent, "docker-group")
        finally:
            for _, writer in opened:
                writer.close()

    status, _ = asyncio.run(idle())
    assert status == 200
    assert memory(server) - rest < 300 * MIB
    assert server.health() == 200
