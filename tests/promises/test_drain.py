"""An end in order that somebody does not let come: cut when its time is over, and nothing that came is lost by it."""

from __future__ import annotations

import base64
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.peers.images import Blob, image, random_bytes, random_layer
from tests.peers.pierhead import PASSWORDS, Pierhead
from tests.peers.processes import LOOPBACK, wait_until
from tests.promises.houses import DEV, hosted_only

pytestmark = pytest.mark.server

MIB = 1 << 20
WHOLE = Blob(random_bytes(3 * MIB, 5), "application/octet-stream")
HALF = 2 * MIB
SENDER = "svc-orchestrator"


@pytest.fixture(params=[1, 2], ids=["one-process", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Pierhead]:
    with Pierhead(hosted_only(limits={"drain": "2s"}), arguments=["--workers", str(request.param)]) as started:
        yield started


def begun(server: Pierhead, head: str, body: bytes = b"") -> socket.socket:
    """A connection on which a request was sent as far as this."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # before connecting, or the window is large already
    sock.settimeout(30)
    sock.connect((LOOPBACK, server.port(DEV)))
    login = base64.b64encode(f"{SENDER}:{PASSWORDS[SENDER]}".encode()).decode()
    sock.sendall(f"{head}\r\nHost: {server.address(DEV)}\r\nAuthorization: Basic {login}\r\n\r\n".encode() + body)
    return sock


def bytes_kept(server: Pierhead) -> int:
    return sum(path.stat().st_size for path in (server.data / "uploads").iterdir())


def ended(server: Pierhead) -> tuple[int, float]:
    """The exit code after SIGTERM, and how long that took."""
    since = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.process is not None
    return server.process.wait(60), time.monotonic() - since


def test_an_upload_that_never_ends_is_cut_after_the_limit_and_goes_on_after_the_next_start(server: Pierhead) -> None:
    with server.wire(DEV, SENDER) as wire:
        location = wire.upload_start("drain/app")
    head = f"PATCH {location} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: {WHOLE.size}"
    with begun(server, head, WHOLE.data[:HALF]):
        wait_until(lambda: bytes_kept(server) >= MIB, 20, "half of the upload is written")
        code, seconds = ended(server)
    assert code == 0
    assert seconds >= 2, "it had its time"
    server.start()
    with server.wire(DEV, SENDER) as wire:
        told = wire.request("GET", location).expect(204).headers["Range"]
        held = int(told.rpartition("-")[2]) + 1
        assert MIB <= held <= HALF
        headers = {"Content-Range": f"{held}-{WHOLE.size - 1}"}
        wire.request("PUT", f"{location}?digest={WHOLE.digest}", WHOLE.data[held:], headers).expect(201)
        assert wire.get_blob("drain/app", WHOLE.digest).body == WHOLE.data


def test_a_download_that_nobody_reads_and_a_request_that_never_comes_whole_are_cut_as_well(server: Pierhead) -> None:
    big = random_layer(12 * MIB, 6)
    with server.wire(DEV, SENDER) as wire:
        wire.push("drain/big", "1", image([big], seed=6))
    with (
        begun(server, f"GET /v2/drain/big/blobs/{big.digest} HTTP/1.1") as reader,
        begun(server, "PUT /v2/drain/big/manifests/2 HTTP/1.1\r\nContent-Length: 1000", b"{"),
    ):
        assert reader.recv(12) == b"HTTP/1.1 200"
        code, seconds = ended(server)
    assert code == 0
    assert seconds >= 2
    assert "Traceback" not in server.log


def test_with_nobody_there_the_end_waits_for_nothing(server: Pierhead) -> None:
    with server.wire(DEV, SENDER) as wire:
        wire.request("GET", "/v2/").expect(200)
        code, _ = ended(server)  # with a connection that rests
    assert code == 0
