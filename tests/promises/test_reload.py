"""SIGTERM, SIGHUP, and a start that cannot be: what runs is finished, what is faulty changes nothing, and is said."""

from __future__ import annotations

import hashlib
import http.client
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.peers.fixtures import StartPierhead
from tests.peers.images import Blob, image, random_bytes
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import LOOPBACK, answers, run, wait_until
from tests.peers.wire import Wire
from tests.promises.houses import DEV, hosted_only
from tests.promises.ledger import Ledger, Pusher, verify

LATER = "docker-hosted-later"
READ_AGAIN = "The configuration was read again."
NOT_TAKEN = "The configuration was not taken over; the one before goes on."


def with_later(**more: object) -> Config:
    config = hosted_only()
    config["repositories"][LATER] = {"type": "hosted", "listen": f"auto:{LATER}", **more}
    return config


class Rereading:
    """A running program, and what it was last told by a file that it took over."""

    def __init__(self, server: Pierhead) -> None:
        self.server = server
        self._serves = hosted_only()

    def reread(self, config: Config, says: str = READ_AGAIN) -> str:
        """SIGHUP with this file; what was logged from then on, when it holds `says`."""
        if says == READ_AGAIN and config == self._serves:
            return ""
        before = len(self.server.log)
        self.server.reload(config)
        wait_until(lambda: says in self.server.log[before:], 30, says)
        if says == READ_AGAIN:
            self._serves = config
        return self.server.log[before:]


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-workers"])
def started(request: pytest.FixtureRequest) -> Iterator[Rereading]:
    with Pierhead(hosted_only(), arguments=["--workers", str(request.param)]) as server:
        yield Rereading(server)


@pytest.fixture
def house(started: Rereading) -> Rereading:
    """It serves `hosted_only()` when a test begins."""
    started.reread(hosted_only())
    return started


@pytest.fixture
def server(house: Rereading) -> Pierhead:
    return house.server


def test_a_repository_that_the_file_names_anew_gets_its_port_without_a_restart(
    house: Rereading, server: Pierhead
) -> None:
    pid = server.pid
    with server.wire(DEV) as wire:
        wire.push("reload/first", "1", image(seed=1))
    house.reread(with_later())
    with server.wire(LATER) as wire:
        wire.push("reload/second", "1", image(seed=2))
    with server.wire(DEV) as wire:
        assert wire.get_manifest("reload/first", "1").expect(200).body == image(seed=1).manifest.data
    assert server.pid == pid
    assert server.running


def test_a_repository_that_the_file_stops_naming_is_closed_and_kept_and_returns_with_its_content(
    house: Rereading, server: Pierhead
) -> None:
    house.reread(with_later())
    with server.wire(LATER) as wire:
        wire.push("reload/kept", "1", image(seed=3))
    house.reread(hosted_only())
    wait_until(lambda: not answers(server.port(LATER)), 10, "the port is closed")
    with server.wire() as wire:
        gone = wire.get_manifest(f"{LATER}/reload/kept", "1").expect(404)
        assert gone.code == "NAME_UNKNOWN"
    house.reread(with_later())
    with server.wire(LATER) as wire:
        assert wire.get_manifest("reload/kept", "1").expect(200).body == image(seed=3).manifest.data
        assert wire.get_blob("reload/kept", image(seed=3).layers[0].digest).status == 200


def test_a_faulty_file_changes_nothing_and_the_log_names_each_fault(house: Rereading, server: Pierhead) -> None:
    faulty = with_later(write_policy="ONCE")
    faulty["no_such_key"] = 1
    said = house.reread(faulty, NOT_TAKEN)
    assert "`write_policy: ONCE`" in said
    assert "no_such_key" in said
    assert said.count("pierhead.yaml line ") == 2
    assert not answers(server.port(LATER))
    with server.wire(DEV, "svc-orchestrator") as wire:
        wire.push("reload/goes-on", "1", image(seed=4))


def test_a_repository_cannot_become_one_of_another_type_and_the_ones_before_go_on(
    house: Rereading, server: Pierhead
) -> None:
    changed = hosted_only()
    changed["repositories"]["other"] = {"type": "hosted", "listen": "auto:other"}
    changed["repositories"][DEV] = {"type": "group", "members": ["other"], "listen": f"auto:{DEV}"}
    said = house.reread(changed, NOT_TAKEN)
    assert f"{DEV} was a hosted repository before and cannot become a group one under the same name." in said
    assert not answers(server.port("other"))
    with server.wire(DEV) as wire:
        wire.push("reload/still-hosted", "1", image(seed=5))


def test_an_account_that_the_file_stops_naming_is_refused_at_once(house: Rereading, server: Pierhead) -> None:
    with server.wire(DEV, "svc-orchestrator") as wire:
        assert wire.request("GET", "/v2/").status == 200
        without = hosted_only()
        del without["accounts"]
        house.reread(without)
    with server.wire(DEV, "svc-orchestrator") as wire:
        assert wire.request("GET", "/v2/").status == 401
    with server.wire(DEV) as wire:
        assert wire.request("GET", "/v2/").status == 200


def test_a_port_that_somebody_else_holds_is_named_in_the_log(house: Rereading, server: Pierhead) -> None:
    server.write_config(with_later())
    with socket.create_server((LOOPBACK, server.port(LATER))):
        house.reread(with_later(), f"{server.address(LATER)} cannot be listened on: ")
        with server.wire(DEV) as wire:
            assert wire.request("GET", "/v2/").status == 200


def test_no_request_fails_while_the_file_is_read_again_and_again(house: Rereading, server: Pierhead) -> None:
    ledger = Ledger("reload/under-load")
    pushers = [Pusher(lambda: retrying(server), ledger, seed) for seed in (1,)]
    for pusher in pushers:
        pusher.start()
    for config in (with_later(), hosted_only(), with_later()):
        house.reread(config)
    for pusher in pushers:
        pusher.finish()
    assert ledger.answers > 0
    with server.wire(DEV) as wire:
        verify(wire, ledger)


class Retrying(Wire):
    """Connects anew when a kept connection was closed between two requests, as every client does."""

    def request(self, *args: Any, **named: Any) -> Any:
        try:
            return super().request(*args, **named)
        except (ConnectionError, http.client.RemoteDisconnected):
            return super().request(*args, **named)


def retrying(server: Pierhead) -> Retrying:
    return Retrying(server.port(DEV), "admin", server.admin_password)


class SaysNoFolder(Pierhead):
    """Started without --data: the file names the folder."""

    def command(self) -> Sequence[str]:
        return [word for word in super().command() if word not in {"--data", str(self.data)}]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_for_the_next_start_is_named_and_changes_nothing_now(tmp_path: Path, workers: int) -> None:
    data, elsewhere = str(tmp_path / "data"), str(tmp_path / "elsewhere")
    with SaysNoFolder(hosted_only(data=data, workers=workers), tmp_path) as server:
        with server.wire(DEV) as wire:
            wire.push("reload/stays", "1", image(seed=1))
        said = Rereading(server).reread(hosted_only(data=elsewhere, workers=2))
        assert "`data` is another folder now: it is used from the next start on" in said
        assert ("`workers` is 2 now: they are used from the next start on; until then one serves." in said) == (
            workers == 1
        )
        with server.wire(DEV) as wire:
            assert wire.get_manifest("reload/stays", "1").status == 200
        assert not Path(elsewhere).exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_a_running_pull_and_a_running_push_end_and_takes_nothing_new(
    start_pierhead: StartPierhead, workers: int
) -> None:
    server = start_pierhead(hosted_only(), arguments=["--workers", str(workers)])
    large = Blob(random_bytes(40_000_000, 1), "application/octet-stream")
    with server.wire(DEV) as wire:
        wire.push_blob("drain/large", large)
        pull = slow_pull(server, wire, large)
        late = Blob(random_bytes(6_000_000, 2), "application/octet-stream")
        push = slow_push(server, wire, late)
    ending = threading.Thread(target=server.stop)
    ending.start()
    wait_until(lambda: not answers(server.port(DEV)), 10, "no new connection is taken")
    push.sendall(late.data[3_000_000:])
    answered = http.client.HTTPResponse(push)
    answered.begin()
    assert answered.status == 201
    with pull, push:
        assert hashlib.sha256(rest_of(pull)).hexdigest() == large.digest.removeprefix("sha256:")
    ending.join(30)
    assert server.process is not None
    assert server.process.returncode == 0


def slow_pull(server: Pierhead, wire: Wire, blob: Blob) -> socket.socket:
    """A GET of which nothing but the beginning is read as yet, far more than buffers take."""
    sock = socket.create_connection((LOOPBACK, server.port(DEV)), 20)
    sock.sendall(head_of(wire, f"GET /v2/drain/large/blobs/{blob.digest}"))
    assert sock.recv(12).startswith(b"HTTP/1.1 200")
    return sock


def slow_push(server: Pierhead, wire: Wire, blob: Blob) -> socket.socket:
    """A push in one request, of which half has been sent."""
    sock = socket.create_connection((LOOPBACK, server.port(DEV)), 20)
    target = f"POST /v2/drain/late/blobs/uploads/?digest={blob.digest}"
    sock.sendall(head_of(wire, target, f"Content-Length: {blob.size}\r\n") + blob.data[:3_000_000])
    wait_until(lambda: sum(path.stat().st_size for path in (server.data / "uploads").iterdir()) > 0, 10, "it is taken")
    return sock


def head_of(wire: Wire, what: str, more: str = "") -> bytes:
    return f"{what} HTTP/1.1\r\nHost: x\r\nAuthorization: {wire._authorization}\r\n{more}\r\n".encode()


def rest_of(sock: socket.socket) -> bytes:
    """The body of an answer of which the first 12 bytes were read, up to the end of the connection."""
    received = bytearray()
    while piece := sock.recv(1 << 20):
        received += piece
    return bytes(received).partition(b"\r\n\r\n")[2]


def test_a_file_with_faults_ends_the_start_with_2_and_one_line_for_each(tmp_path: Path) -> None:
    config = hosted_only(no_such_key=1)
    config["repositories"][DEV]["write_policy"] = "ONCE"
    config["accounts"]["svc-orchestrator"]["roles"] = ["pusher"]
    ended = start_in_vain(Pierhead(config, tmp_path))
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 3, ended.stderr
    assert all(line.startswith("pierhead.yaml line ") for line in lines)
    for word in ("no_such_key", "write_policy", "pusher"):
        assert word in ended.stderr


def test_a_second_program_on_the_same_data_folder_is_refused_with_a_sentence(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    first = start_pierhead(hosted_only())
    second = Pierhead(hosted_only(), tmp_path)
    second.data = first.data
    ended = start_in_vain(second)
    assert ended.returncode == 1
    assert f"{first.data} is in use by process {first.pid}; stop it" in ended.stderr
    assert first.health() == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_database_ends_the_start_with_1_and_a_sentence(start_pierhead: StartPierhead, workers: int) -> None:
    server = start_pierhead(hosted_only())
    server.stop()
    with (server.data / "pierhead.db").open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(range(256)) * 48)
    server.arguments = ["--workers", str(workers)]
    ended = start_in_vain(server)
    assert ended.returncode == 1
    assert "restore the last backup." in ended.stderr.lower()
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_made_is_told_with_the_way_out(tmp_path: Path) -> None:
    server = Pierhead(hosted_only(), tmp_path)
    (tmp_path / "file").touch()
    server.data = tmp_path / "file" / "data"
    ended = start_in_vain(server)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert f"{server.data} cannot be used: Not a directory. Give a folder for data that this account" in ended.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_ends_the_start_with_1_and_a_sentence(tmp_path: Path, workers: int) -> None:
    server = Pierhead(hosted_only(), tmp_path, arguments=["--workers", str(workers)])
    with socket.create_server((LOOPBACK, server.port(DEV))):
        ended = start_in_vain(server)
    assert ended.returncode == 1
    sentence = f"{server.address(DEV)} cannot be listened on: Address already in use. Stop what listens there, or "
    assert sentence in ended.stderr


def start_in_vain(server: Pierhead) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which has to come by itself."""
    return run(server.command(), environment=server.environment(), check=False, seconds=30)
