"""Hostile HTTP and exhaustion: rows 68 to 81 of the table, against the whole program.

The deadlines of rows 69 to 72 are walked through with short times in tests/faces; here they are seen once as they are.
"""

from __future__ import annotations

import gzip
import io
import select
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from pierhead.domain.lookup import Reserve
from pierhead.domain.names import ImageName
from tests.peers.fixtures import StartPierhead
from tests.peers.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob, json_blob, random_bytes
from tests.peers.pierhead import open_files_of
from tests.peers.processes import LOOPBACK, wait_until
from tests.promises.ground import CONFIG, ENVIRONMENT, MIB, READER, Ground, answers_in, read_all

OCTETS = "application/octet-stream"
SMUGGLED = b"GET /v2/known/image/manifests/1.0.0 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def dripping(ground: Ground) -> Iterator[Future[tuple[bytes, float]]]:
    """A client that sends a byte of its head each second: what it hears, and after how many seconds."""

    def drip() -> tuple[bytes, float]:
        began = time.monotonic()
        with socket.create_connection((LOOPBACK, ground.server.port("open"))) as line:
            line.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-")
            while not select.select([line], [], [], 1)[0]:
                line.sendall(b"a")
            return read_all(line), time.monotonic() - began

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(drip)


# Requests whose end two readers could see at different places (RFC 9112 sections 2.2, 5, 6 and 11.2).
PROBES = {
    "length and encoding": b"START\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": b"START\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"START\r\nContent-Length: 0\r\nX-A: b\r\n folded\r\n\r\n",
    "a space before the colon": b"START\r\nContent-Length : 0\r\n\r\n",
    "a bare line feed": b"GET /v2/ HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a list of lengths": b"START\r\nContent-Length: 1,1\r\n\r\nx",
    "two lengths": b"START\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "a signed length": b"START\r\nContent-Length: +5\r\n\r\nhello",
    "a signed chunk size": b"START\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "a prefixed chunk size": b"START\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk without its end": b"START\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n",
    "a bare line feed in a chunk extension": b"START\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", PROBES)
def test_row_68_a_smuggled_request_never_runs(name: str, unharmed: Ground) -> None:
    start = f"POST /v2/known/image/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nAuthorization: {unharmed.authorization()}\r\n"
    said = unharmed.say(PROBES[name].replace(b"START\r\n", start.encode()) + SMUGGLED, end=True)
    answers = answers_in(said)
    assert len(answers) <= 1, "the second request was answered"
    # A chunked body that nobody needs may be refused after its answer: the connection ends all the same.
    assert not answers or answers[0].status in (202, 400)
    for answer in answers:
        assert answer.headers["Connection"] == "close"
        if answer.status == 202:
            unharmed.ask("DELETE", answer.headers["Location"])


def test_row_71_readers_who_do_not_read_cost_little_and_hold_up_nobody(unharmed: Ground) -> None:
    big = Blob(random_bytes(6 * MIB, 71), OCTETS)
    unharmed.push_blob(big)
    request = unharmed.head("GET", f"/v2/known/image/blobs/{big.digest}")
    before, memory = open_files_of(unharmed.server.pid), memory_of(unharmed.server.pid)
    lines = [socket.create_connection((LOOPBACK, unharmed.server.port("open"))) for _ in range(60)]
    try:
        for line in lines:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(request)
        times = []
        for _ in range(50):
            began = time.perf_counter()
            unharmed.wire(READER).get_manifest("known/image", "1.0.0").expect(200)
            times.append(time.perf_counter() - began)
        assert sorted(times)[45] < 0.5
        assert open_files_of(unharmed.server.pid) - before <= 3 * len(lines) + 5
        assert memory_of(unharmed.server.pid) - memory < 100 * MIB
    finally:
        for line in lines:
            line.close()
    wait_until(lambda: open_files_of(unharmed.server.pid) <= before + 2, 10, "files and sockets are given back")


def test_row_72_connections_beyond_the_cap_are_refused_and_places_come_back(start_pierhead: StartPierhead) -> None:
    server = start_pierhead({**CONFIG, "limits": {"connections": 20}}, environment=ENVIRONMENT)
    lines = [socket.create_connection((LOOPBACK, server.port("open"))) for _ in range(40)]
    try:
        refused: set[socket.socket] = set()

        def told() -> bool:
            refused.update(select.select(lines, [], [], 0)[0])
            return len(refused) >= 18

        wait_until(told, 10, "18 are told that there is no room")
        assert all(line.recv(100).startswith(b"HTTP/1.1 503 ") for line in refused)
        assert len(refused) < 30
    finally:
        for line in lines:
            line.close()
    wait_until(lambda: server.health() == 200, 10, "/health answers again")


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("a header of 64 KiB", b"X-A: " + b"a" * 65_536 + b"\r\n"),
        ("1,000 headers", b"X-A: b\r\n" * 1000),
        ("10,000 cookies", b"Cookie: " + b"a=b; " * 10_000 + b"\r\n"),
    ],
)
def test_row_73_a_head_beyond_the_limits_is_431(what: str, lines: bytes, unharmed: Ground) -> None:
    del what
    [heard] = answers_in(unharmed.say(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"))
    assert heard.status == 431


def test_row_74_http_2_is_not_spoken_here(unharmed: Ground) -> None:
    said = unharmed.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0" * 1000)
    assert len(answers_in(said)) == 1
    assert said.startswith(b"HTTP/1.1 400 ")
    upgrade = {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA", "Connection": "Upgrade, close"}
    assert unharmed.ask("GET", "/v2/", headers=upgrade).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/v2/known/image%0d%0aX:%201/manifests/1.0.0",
        "/v2/known/image/manifests/a%0d%0aX:%201",
        "/v2/known/image/tags/list?n=1&last=a%0d%0aX:%201",
        "/v2/known/image/referrers/sha256:" + "a" * 64 + "?artifactType=a%0d%0aX:%201",
        "/v2/known/image/blobs/uploads/?mount=a%0d%0aX:%201",
        "/v2/known/image/blobs/sha256:a%0d%0aX:%201",
        b"/v2/known/image/manifests/a\rX",
        b"/v2/known/image/manifests/a\nX: 1",
        "/%0d%0aX:%201",
    ],
)
def test_row_75_no_line_break_of_a_client_splits_a_head(target: str | bytes, unharmed: Ground) -> None:
    for method in ("GET", "PUT", "POST"):
        heard = unharmed.ask(method, target)
        assert heard.status in (200, 202, 307, 400, 404, 405)
        assert "X" not in heard.headers
        assert "X: 1" not in str(heard.headers)


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "gzip", gzip.compress(gzip.compress(b"\0" * (64 * MIB)))
    yield "depth", b'{"a":' * 200_000
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for number in range(3_000):
            archive.addfile(tarfile.TarInfo(f"../../{number}"))
    yield "entries", buffer.getvalue()


@pytest.mark.parametrize(("what", "bomb"), [pytest.param(what, bomb, id=what) for what, bomb in bombs()])
def test_row_76_a_push_never_looks_into_what_it_stores(what: str, bomb: bytes, unharmed: Ground) -> None:
    config, layer = Blob(bomb, OCI_CONFIG), Blob(bomb + b" ", OCI_LAYER)
    memory, began = memory_of(unharmed.server.pid), time.monotonic()
    for blob in (config, layer):
        unharmed.push_blob(blob)
    content = {"schemaVersion": 2, "config": config.descriptor(), "layers": [layer.descriptor()]}
    manifest = json_blob(content, OCI_MANIFEST)
    unharmed.wire().put_manifest("known/image", f"bomb-{what}", manifest).expect(201)
    assert time.monotonic() - began < 5
    assert memory_of(unharmed.server.pid) - memory < 40 * MIB
    assert unharmed.wire().get_blob("known/image", config.digest).body == bomb


def test_row_77_a_config_of_more_than_4_mib_is_taken(unharmed: Ground) -> None:
    config = Blob(b'{"a":"' + b"b" * (4 * MIB) + b'"}', OCI_CONFIG)
    unharmed.push_blob(config)
    manifest = json_blob({"schemaVersion": 2, "config": config.descriptor(), "layers": []}, OCI_MANIFEST)
    unharmed.wire().put_manifest("known/image", "large-config", manifest).expect(201)


def test_row_78_no_pattern_of_the_config_file_can_run_wild() -> None:
    """Patterns know `*` only, and are matched in linear time: there is no regular expression to explode."""
    name = ImageName("a" * 255)
    for pattern in ("^(a+)+$", "*a" * 100 + "b", "*" * 1000 + "b"):
        began = time.monotonic()
        assert not Reserve([pattern]).holds(name)
        assert time.monotonic() - began < 0.05


def test_row_80_what_is_counted_does_not_grow_with_names(unharmed: Ground) -> None:
    wire = unharmed.wire()

    def size() -> int:
        return len(unharmed.ask("GET", "/metrics", who="admin", port="main").body)

    wire.request("GET", "/v2/first/name/manifests/1")
    before = size()
    for number in range(300):
        wire.request("GET", f"/v2/name-{number}/x/manifests/tag-{number}")
    assert size() - before < 2_000


def test_row_81_a_flood_of_one_address_does_not_starve_the_others(unharmed: Ground) -> None:
    stop = threading.Event()

    def flood() -> None:
        request = unharmed.head("GET", "/v2/known/image/tags/list", who=READER)
        with socket.create_connection((LOOPBACK, unharmed.server.port("open"))) as line:
            while not stop.is_set():
                line.sendall(request)
                line.recv(65536)

    floods = [threading.Thread(target=flood) for _ in range(4)]
    for one in floods:
        one.start()
    try:
        times = []
        for _ in range(40):
            began = time.perf_counter()
            unharmed.wire().get_manifest("known/image", "1.0.0").expect(200)
            times.append(time.perf_counter() - began)
    finally:
        stop.set()
        for one in floods:
            one.join()
    assert sorted(times)[36] < 0.5


def memory_of(pid: int) -> int:
    """Resident bytes of a process (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_row_69_a_head_that_drips_is_closed_within_its_time(
    dripping: Future[tuple[bytes, float]], unharmed: Ground
) -> None:
    """It began with the module, so that the ten seconds pass while the other rows are tried."""
    said, seconds = dripping.result(15)
    assert answers_in(said)[0].status == 408
    assert 9 < seconds < 13


def test_the_helper_tells_answers_apart() -> None:
    two = b"HTTP/1.1 100 Continue\r\n\r\n" + b"".join(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%b" % body for body in (b"ab", b"cd")
    )
    assert [answer.body for answer in answers_in(two)] == [b"ab", b"cd"]
