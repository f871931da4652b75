"""Kills and full disks: whatever was acknowledged is there afterwards, and nothing half is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.peers.fixtures import StartPierhead
from tests.peers.images import Blob, Image, image, random_bytes
from tests.peers.pierhead import Pierhead, open_files_of
from tests.peers.processes import LOOPBACK, PeerFailed, program, run, wait_until
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV, hosted_only
from tests.promises.ledger import Ledger, plain_layer, push_until, verify

ROUNDS = {1: 8, 3: 4}
CLIENTS = 6


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_after_each_of_many_kills_everything_acknowledged_is_there_byte_for_byte(
    start_pierhead: StartPierhead, workers: int
) -> None:
    server = start_pierhead(hosted_only(), arguments=["--workers", str(workers)])
    ledgers = [Ledger(f"crash/client-{n}") for n in range(CLIENTS)]
    moments = random.Random(workers)
    for number in range(ROUNDS[workers]):
        more = moments.randrange(5, 120)
        push_until(lambda: server.wire(DEV), ledgers, more, seed=number, then=server.kill)
        server.start()
        with server.wire(DEV) as wire:
            for ledger in ledgers:
                verify(wire, ledger, again=number == ROUNDS[workers] - 1)
    stored_files_are_whole(server.data)


def stored_files_are_whole(data: Path) -> None:
    """Files under final names hold what their names say, those that no row knows of included."""
    files = [path for path in (data / "blobs").glob("sha256/*/*") if path.is_file()]
    assert files
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]


def test_an_upload_goes_on_after_a_kill_where_the_server_says_that_it_stands(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(hosted_only())
    whole = Blob(random_bytes(3_000_000, 7), "application/octet-stream")
    with server.wire(DEV) as wire:
        location = wire.upload_start("crash/resumed")
        first = wire.request("PATCH", location, whole.data[:1_000_000], {"Content-Range": "0-999999"}).expect(202)
        location = first.headers["Location"]
    begun = half_a_chunk(server, location, whole.data[1_000_000:], 1_500_000)
    wait_until(lambda: size_of_the_upload(server.data) > 1_000_000, 10, "a part of the second chunk is on the disk")
    server.kill()
    begun.close()
    server.start()
    with server.wire(DEV) as wire:
        status = wire.request("GET", location).expect(204)
        held = int(status.headers["Range"].partition("-")[2]) + 1
        assert 1_000_000 < held <= 2_500_000
        headers = {"Content-Range": f"{held}-{whole.size - 1}"}
        location = (
            wire.request("PATCH", status.headers["Location"], whole.data[held:], headers)
            .expect(202)
            .headers["Location"]
        )
        wire.request("PUT", f"{location}?digest={whole.digest}", b"").expect(201)
        assert wire.get_blob("crash/resumed", whole.digest).expect(200).body == whole.data


def test_clients_that_leave_in_the_midst_of_a_pull_or_a_push_leave_nothing_open(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(hosted_only())
    large = Blob(random_bytes(8_000_000, 1), "application/octet-stream")
    with server.wire(DEV) as wire:
        wire.push_blob("leaving/large", large)
        location = wire.upload_start("leaving/large")
        authorization = wire._authorization
    before = open_files_of(server.pid)
    head = f"Host: x\r\nAuthorization: {authorization}\r\n"
    pull = f"GET /v2/leaving/large/blobs/{large.digest} HTTP/1.1\r\n{head}\r\n".encode()
    for _ in range(300):
        with socket.create_connection((LOOPBACK, server.port(DEV)), 10) as sock:
            sock.sendall(pull)
            assert sock.recv(12) == b"HTTP/1.1 200"
    half_a_chunk(server, location, large.data, 3_000_000).close()
    server.wait_for_log('"PATCH ')  # the access log says when a request has ended
    wait_until(lambda: open_files_of(server.pid) <= before + 2, 15, "all files and connections are closed")
    with server.wire(DEV) as wire:
        status = wire.request("GET", location).expect(204)
        held = int(status.headers["Range"].partition("-")[2]) + 1
        assert held <= 3_000_000
        finish = f"{location}?digest={large.digest}"
        wire.request("PUT", finish, large.data[held:], {"Content-Range": f"{held}-{large.size - 1}"}).expect(201)


def half_a_chunk(server: Pierhead, location: str, rest: bytes, sent: int) -> socket.socket:
    """A PATCH that announces all of `rest` and stops after `sent` bytes."""
    with server.wire(DEV) as wire:
        authorization = wire._authorization
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: {server.address(DEV)}\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(rest)}\r\n\r\n"
    )
    sock = socket.create_connection((LOOPBACK, server.port(DEV)), 10)
    sock.sendall(head.encode() + rest[:sent])
    return sock


def size_of_the_upload(data: Path) -> int:
    return sum(path.stat().st_size for path in (data / "uploads").iterdir())


@pytest.fixture
def small_disk(short_folder: Path) -> Iterator[Path]:
    """A file system of 24 MB; the data folder of a server that is started in the folder above it."""
    place = short_folder / "data"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_refuses_pushes_with_a_sentence_answers_pulls_and_takes_pushes_again_once_there_is_room(
    start_pierhead: StartPierhead, small_disk: Path
) -> None:
    server = start_pierhead(hosted_only(), folder=small_disk.parent)
    kept = image([plain_layer(300_000, 1)], seed=1)
    with server.wire(DEV) as wire:
        wire.push("full/kept", "1", kept)
        refused = push_until_refused(wire, "full/filler")
        assert_says_that_the_disk_is_full(refused)
        (small_disk / "ballast").write_bytes(b"x" * free_bytes(small_disk))
        for size in (0, 1_000, 20_000, 300_000):
            blob = Blob(random_bytes(size, size + 5), "application/octet-stream")
            assert_says_that_the_disk_is_full(
                wire.request("POST", f"/v2/full/late/blobs/uploads/?digest={blob.digest}", blob.data)
            )
        assert wire.get_manifest("full/kept", "1").expect(200).body == kept.manifest.data
        assert wire.get_blob("full/kept", kept.layers[0].digest).expect(200).body == kept.layers[0].data
        assert server.health(path="/livez") == 200
        (small_disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        late = image([plain_layer(300_000, 2), plain_layer(1_000, 3)], seed=2)
        wait_until(lambda: pushes_again(server, late), 20, "pushes are taken again")
    server.restart()
    with server.wire(DEV) as wire:
        for name, one in (("full/kept", kept), ("full/late", late)):
            assert wire.get_manifest(name, "1").expect(200).body == one.manifest.data
            assert [wire.get_blob(name, b.digest).expect(200).body for b in one.blobs] == [b.data for b in one.blobs]
    assert not list((small_disk / "uploads").iterdir()), "what was refused holds no space"


def push_until_refused(wire: Wire, name: str) -> Answer:
    for seed in range(100):
        blob = Blob(random_bytes(1_500_000, seed + 100), "application/octet-stream")
        answer = wire.request("POST", f"/v2/{name}/blobs/uploads/?digest={blob.digest}", blob.data)
        if answer.status != 201:
            return answer
    raise AssertionError("a disk of 24 MB took 150 MB")


def assert_says_that_the_disk_is_full(answer: Answer) -> None:
    answer.expect(503)
    assert answer.code == "UNAVAILABLE"
    assert "The disk is full: pushes are refused, pulls work." in answer.message
    assert int(answer.headers["Retry-After"]) > 0


def free_bytes(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def pushes_again(server: Pierhead, one: Image) -> bool:
    try:
        with server.wire(DEV) as wire:
            wire.push("full/late", "1", one)
    except PeerFailed:
        return False
    return True


def test_a_server_that_ran_out_of_open_files_answers_again_as_soon_as_there_are_some(
    start_pierhead: StartPierhead,
) -> None:
    server = start_pierhead(hosted_only())
    kept = image([plain_layer(300_000, 1)], seed=1)
    with server.wire(DEV) as wire:
        wire.push("files/kept", "1", kept)
    run(["prlimit", "--pid", str(server.pid), "--nofile=100:100"], environment=dict(os.environ))
    with server.wire(DEV) as early:
        early.get_manifest("files/kept", "1").expect(200)
        crowd = [socket.create_connection((LOOPBACK, server.port(DEV)), 5) for _ in range(150)]
        try:
            wait_until(lambda: open_files_of(server.pid) >= 99, 10, "no file is left")
            assert early.get_manifest("files/kept", "1").expect(200).body == kept.manifest.data
            hungry = early.get_blob("files/kept", kept.layers[0].digest)
            assert hungry.status in {200, 503}, "never 500"
            assert hungry.status == 503 or hungry.body == kept.layers[0].data
        finally:
            for sock in crowd:
                sock.close()
    wait_until(lambda: open_files_of(server.pid) < 60, 20, "the connections are given back")
    with server.wire(DEV) as wire:
        assert wire.get_blob("files/kept", kept.layers[0].digest).expect(200).body == kept.layers[0].data
        wire.push("files/more", "1", image([plain_layer(300_000, 2)], seed=2))
    server.restart()
    with server.wire(DEV) as wire:
        assert wire.get_manifest("files/kept", "1").expect(200).body == kept.manifest.data


def test_with_few_open_files_allowed_it_takes_no_more_connections_than_it_can_serve(
    start_pierhead: StartPierhead,
) -> None:
    server = start_pierhead(hosted_only())
    kept = image([plain_layer(300_000, 1)], seed=1)
    with server.wire(DEV) as wire:
        wire.push("files/kept", "1", kept)
    assert server.stop() == 0
    with FewFiles(hosted_only(), server.folder) as frugal, contextlib.ExitStack() as crowd:
        assert "Only 400 files may be open at once" in frugal.log
        with frugal.wire(DEV) as wire:
            slow = [wire.upload_start("files/slow") for _ in range(140)]
        statuses = list[int]()
        for number, location in enumerate(slow):  # each holds its connection, a file, and what a thread reads from
            crowd.enter_context(half_a_chunk(frugal, location, bytes(1_000_000), 300_000))
            if number % 7 == 0:
                wire = crowd.enter_context(frugal.wire(DEV))
                statuses.append(wire.get_blob("files/kept", kept.layers[0].digest).status)
        assert statuses[:10] == [200] * 10
        assert set(statuses[10:]) <= {200, 503}, "told to come again, rather than cut off"
        assert 503 in statuses
        assert open_files_of(frugal.pid) < 400


class FewFiles(Pierhead):
    """It may open 400 files and no more."""

    def command(self) -> Sequence[str]:
        return [program("prlimit"), "--nofile=400:400", *super().command()]
