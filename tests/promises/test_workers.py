"""Several processes on the same ports: one may die at any moment, and none outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from tests.peers.images import Blob, image, random_bytes
from tests.peers.pierhead import Pierhead
from tests.peers.processes import LOOPBACK, answers, wait_until
from tests.peers.wire import Wire
from tests.promises.houses import DEV, alive, hosted_only, worker_behind, workers_of
from tests.promises.ledger import Ledger, plain_layer, push_until, verify


@pytest.fixture(scope="module")
def started() -> Iterator[Pierhead]:
    with Pierhead(hosted_only(), arguments=["--workers", "3"]) as one:
        yield one


@pytest.fixture
def server(started: Pierhead) -> Pierhead:
    """Three workers, whatever the test before has done to them."""
    if not started.running:
        started.start()
    wait_until(lambda: len(workers_of(started)) == 3, 15, "three workers")
    return started


def test_three_workers_serve_and_none_of_them_is_the_parent(server: Pierhead) -> None:
    assert len(workers_of(server)) == 3
    with server.wire(DEV) as wire:
        wire.push("workers/first", "1", image(seed=1))
        assert worker_behind(server, wire) in workers_of(server)


def test_an_upload_that_one_worker_began_is_ended_by_another(server: Pierhead) -> None:
    whole = Blob(random_bytes(2_000_000, 1), "application/octet-stream")
    with server.wire(DEV) as wire:
        location = wire.upload_start("workers/moved")
        location = patch(wire, location, whole, 0, 700_000)
        first = worker_behind(server, wire)
    with held_still(first), server.wire(DEV) as wire:
        location = patch(wire, location, whole, 700_000, 1_500_000)
        second = worker_behind(server, wire)
    assert second != first
    with held_still(second), server.wire(DEV) as wire:
        headers = {"Content-Range": f"1500000-{whole.size - 1}"}
        wire.request("PUT", f"{location}?digest={whole.digest}", whole.data[1_500_000:], headers).expect(201)
        assert worker_behind(server, wire) != second
        assert wire.get_blob("workers/moved", whole.digest).expect(200).body == whole.data


def test_an_upload_outlives_the_worker_that_began_it(server: Pierhead) -> None:
    whole = Blob(random_bytes(2_000_000, 2), "application/octet-stream")
    with server.wire(DEV) as wire:
        location = patch(wire, wire.upload_start("workers/orphan"), whole, 0, 700_000)
        os.kill(worker_behind(server, wire), signal.SIGKILL)
    with server.wire(DEV) as wire:
        status = wire.request("GET", location).expect(204)
        assert status.headers["Range"] == "0-699999"
        location = patch(wire, location, whole, 700_000, whole.size)
        wire.request("PUT", f"{location}?digest={whole.digest}", b"").expect(201)


def test_a_tag_moved_by_one_worker_is_seen_by_the_others_at_once(server: Pierhead) -> None:
    for seed in range(6):
        one = image(seed=seed)
        with server.wire(DEV) as wire:
            wire.push("workers/moving", "latest", one)
            pusher = worker_behind(server, wire)
        with held_still(pusher), server.wire(DEV) as wire:
            found = wire.get_manifest("workers/moving", "latest").expect(200)
            assert found.headers["Docker-Content-Digest"] == one.digest
            assert worker_behind(server, wire) != pusher


def test_when_a_worker_is_killed_in_the_midst_the_others_go_on_and_it_is_replaced(server: Pierhead) -> None:
    ledgers = [Ledger(f"workers/client-{n}") for n in range(6)]
    for number in range(3):
        before = workers_of(server)
        victim = before[number]
        push_until(lambda: server.wire(DEV), ledgers, 30, seed=number, then=partial(kill_one, server, victim, before))
        wait_until(partial(is_replaced, server, victim), 15, "three workers")
        assert f"Worker {victim} ended" in server.log
        with server.wire(DEV) as wire:
            for ledger in ledgers:
                verify(wire, ledger)


def kill_one(server: Pierhead, victim: int, before: list[int]) -> None:
    """Kill a worker, and push at once, while there are two."""
    os.kill(victim, signal.SIGKILL)
    with server.wire(DEV) as wire:
        wire.push("workers/meanwhile", "1", image([plain_layer(300_000, victim)], seed=victim))
        assert worker_behind(server, wire) in before


def is_replaced(server: Pierhead, victim: int) -> bool:
    return len(workers_of(server)) == 3 and victim not in workers_of(server)


def test_a_worker_is_replaced_by_one_with_the_settings_that_are_served_whatever_the_file_says_by_now(
    server: Pierhead,
) -> None:
    good = server.config_path.read_text()
    server.write_config("listen: [nonsense")
    try:
        victim = workers_of(server)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: is_replaced(server, victim), 15, "three workers")
        newest = max(workers_of(server))
        with held_still(*(pid for pid in workers_of(server) if pid != newest)), server.wire(DEV) as wire:
            wire.push("workers/new", "1", image(seed=1))
            assert worker_behind(server, wire) == newest
    finally:
        server.config_path.write_text(good)


def test_no_worker_outlives_its_parent(server: Pierhead) -> None:
    workers = workers_of(server)
    with server.wire(DEV) as wire:
        wire.push("workers/kept", "1", image(seed=1))
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, workers)), 15, "all workers have ended")
    assert server.process is not None
    server.process.wait()
    assert not answers(server.port(DEV))
    server.start()
    with server.wire(DEV) as wire:
        assert wire.get_manifest("workers/kept", "1").expect(200).body == image(seed=1).manifest.data


def test_a_parent_that_was_killed_leaves_the_folder_free_for_a_start_at_once(server: Pierhead) -> None:
    """Its workers may be answering still; the new program waits for them, rather than to work beside them."""
    with server.wire(DEV) as wire:
        location = wire.upload_start("workers/late")
        half = b"PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 6000000\r\n\r\n" % (
            location.encode(),
            wire._authorization.encode(),
        )
    with socket.create_connection((LOOPBACK, server.port(DEV)), 10) as busy:
        busy.sendall(half + b"x" * 800_000)
        wait_until(lambda: sum(p.stat().st_size for p in (server.data / "uploads").iterdir()) > 0, 10, "it is taken")
        os.kill(server.pid, signal.SIGKILL)
        assert server.process is not None
        server.process.wait()
        greeted = server.log.count("is ready at")
        server.start()
        # A worker of the old one may answer /health a last time.
        wait_until(lambda: server.log.count("is ready at") > greeted, 20, "the new program is ready")
        with server.wire(DEV) as wire:
            wire.push("workers/next", "1", image(seed=1))


def test_sigterm_ends_the_parent_with_0_and_all_workers(server: Pierhead) -> None:
    workers = workers_of(server)
    assert server.stop() == 0
    assert not any(map(alive, workers))


def patch(wire: Wire, location: str, whole: Blob, start: int, end: int) -> str:
    """Send one chunk; where to go on."""
    headers = {"Content-Range": f"{start}-{end - 1}", "Content-Type": "application/octet-stream"}
    return str(wire.request("PATCH", location, whole.data[start:end], headers).expect(202).headers["Location"])


@contextlib.contextmanager
def held_still(*pids: int) -> Iterator[None]:
    """While this lasts, these processes do not run, so that another has to answer."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
