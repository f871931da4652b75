"""TLS by the program itself: on every port, with certificates that are renewed while it runs."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.peers.clients import Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import image, write_layout
from tests.peers.pierhead import PASSWORDS, Config, Pierhead, house
from tests.peers.processes import LOOPBACK, answers, run, wait_until
from tests.promises.certificates import Certificates
from tests.promises.houses import DEV, GROUP, SecureWire
from tests.promises.shop import pulled_digest, pushed_digest, runnable

PORTS = ("main", DEV, GROUP)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def secure_house(certificates: Certificates) -> Config:
    return house(external_url="https://auto:main", tls=certificates.settings, redirect_from="auto:redirect")


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-workers"])
def server(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Pierhead]:
    with Pierhead(secure_house(certificates), arguments=["--workers", str(request.param)]) as started:
        yield started


def secure(server: Pierhead, certificates: Certificates, port: str, account: str = "svc-orchestrator") -> SecureWire:
    return SecureWire(server.port(port), account, PASSWORDS[account], certificates.ca)


def test_every_port_speaks_tls_with_a_certificate_that_clients_can_check(
    server: Pierhead, certificates: Certificates
) -> None:
    one = image(seed=1)
    with secure(server, certificates, DEV) as wire:
        wire.push("tls/checked", "1", one)
    for port, name in (("main", f"{DEV}/tls/checked"), (DEV, "tls/checked"), (GROUP, "tls/checked")):
        with secure(server, certificates, port, "svc-deploy") as wire:
            assert wire.get_manifest(name, "1").expect(200).body == one.manifest.data
            assert wire.get_blob(name, one.layers[0].digest).expect(200).body == one.layers[0].data


def test_skopeo_pushes_and_pulls_and_trusts_nothing_but_the_authority(
    server: Pierhead, certificates: Certificates, skopeo: Skopeo, tmp_path: Path
) -> None:
    one = image(seed=2)
    write_layout(tmp_path / "in", {"1": one})
    for port in (DEV, GROUP):
        args = ("--tls-verify=true", "--cert-dir", str(certificates.folder), "--username", "svc-orchestrator")
        password = PASSWORDS["svc-orchestrator"].encode()
        skopeo("login", *args, "--password-stdin", server.address(port), stdin=password)
    target = f"docker://{server.address(DEV)}/tls/skopeo:1"
    distrustful = skopeo("copy", "--dest-tls-verify=true", f"oci:{tmp_path}/in:1", target, check=False)
    assert "certificate signed by unknown authority" in distrustful.stderr
    trusting = ("--dest-tls-verify=true", "--dest-cert-dir", str(certificates.folder))
    skopeo("copy", *trusting, f"oci:{tmp_path}/in:1", target)
    trusting = ("--src-tls-verify=true", "--src-cert-dir", str(certificates.folder))
    skopeo("copy", *trusting, f"docker://{server.address(GROUP)}/tls/skopeo:1", f"dir:{tmp_path}/out")
    assert (tmp_path / "out/manifest.json").read_bytes() == one.manifest.data


def test_docker_logs_in_pushes_and_pulls_over_tls(server: Pierhead, docker_engine: DockerEngine) -> None:
    push, pull = f"{server.address(DEV)}/tls/docker:1", f"{server.address(GROUP)}/tls/docker:1"
    for port in (DEV, GROUP):
        docker_engine.login(server.address(port), "svc-orchestrator", PASSWORDS["svc-orchestrator"])
    docker_engine.load(runnable(3), push)
    digest = pushed_digest(docker_engine.docker("push", push).stdout)
    docker_engine.docker("pull", pull)
    assert pulled_digest(docker_engine, pull) == digest


def test_a_renewed_certificate_serves_the_next_handshake_and_open_connections_go_on(
    server: Pierhead, certificates: Certificates
) -> None:
    with secure(server, certificates, DEV) as before:
        before.request("GET", "/v2/").expect(200)
        pid, old = server.pid, certificates.on_disk
        certificates.renew()
        assert certificates.on_disk != old
        for port in PORTS:
            wait_until(partial(renewed, server, certificates, port), 20, f"{port} serves the new one")
        before.request("GET", "/v2/").expect(200)
        assert server.pid == pid


def renewed(server: Pierhead, certificates: Certificates, port: str) -> bool:
    """Several handshakes, as several workers may answer."""
    return all(certificates.served(server.port(port)) == certificates.on_disk for _ in range(8))


def test_a_certificate_that_does_not_fit_its_key_is_not_taken_and_the_one_before_goes_on(
    server: Pierhead, certificates: Certificates, tmp_path: Path
) -> None:
    serves = certificates.on_disk
    good_key = certificates.key.read_bytes()
    before = len(server.log)
    certificates.key.write_bytes(Certificates(tmp_path / "other").key.read_bytes())
    try:
        wait_until(lambda: "and its key cannot be used" in server.log[before:], 20, "the log says so")
        assert all(certificates.served(server.port(DEV)) == serves for _ in range(8))
    finally:
        certificates.key.write_bytes(good_key)


def test_the_plain_port_beside_it_answers_health_and_sends_everything_else_to_tls(server: Pierhead) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, server.port("redirect"), timeout=5)
    for path in ("/health", "/livez", "/readyz"):
        connection.request("GET", path)
        assert connection.getresponse().read() == b"ok\n"
    for method, path in (("GET", "/v2/"), ("GET", "/some/page?q=1"), ("POST", "/v2/x/blobs/uploads/")):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 308
        assert answer.headers["Location"] == f"https://{server.address()}{path}"
    connection.close()


def test_plain_http_to_a_tls_port_ends_soon(server: Pierhead) -> None:
    began = time.monotonic()
    with socket.create_connection((LOOPBACK, server.port(DEV)), 5) as sock:
        sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            while piece := sock.recv(1_000):
                received += piece
        except ConnectionResetError:
            pass
    assert time.monotonic() - began < 3
    assert not received.startswith(b"HTTP/1.1 2")


def test_tls_to_a_plain_port_ends_soon(server: Pierhead) -> None:
    began = time.monotonic()
    with (
        socket.create_connection((LOOPBACK, server.port("redirect")), 5) as sock,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        ssl._create_unverified_context().wrap_socket(sock)
    assert time.monotonic() - began < 3


def test_sighup_turns_tls_on_and_off_again(certificates: Certificates) -> None:
    with Pierhead(house()) as server:
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.push("tls/before", "1", image(seed=5))
        server.reload(secure_house(certificates))
        server.wait_for_log("The configuration was read again.")
        with secure(server, certificates, DEV) as wire:
            wire.get_manifest("tls/before", "1").expect(200)
        assert answers(server.port("redirect"))
        server.reload(house())
        wait_until(lambda: server.log.count("The configuration was read again.") == 2, 10, "it was read again")
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.get_manifest("tls/before", "1").expect(200)
        wait_until(lambda: not answers(server.port("redirect")), 5, "the plain port is closed")


def test_a_start_with_a_certificate_that_is_not_there_ends_with_2_and_names_each_file(tmp_path: Path) -> None:
    missing = {"certificate": str(tmp_path / "none.crt"), "key": str(tmp_path / "none.key")}
    server = Pierhead(house(tls=missing), tmp_path)
    ended = run(server.command(), environment=server.environment(), check=False, seconds=30)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert [line.rpartition("` ")[2] for line in lines] == [
        f"is no file that exists. (tls.{key})" for key in ("certificate", "key")
    ]


def test_what_is_sent_elsewhere_keeps_its_scheme_and_host(server: Pierhead, certificates: Certificates) -> None:
    """A page asked of a registry port is on the main port."""
    with secure(server, certificates, DEV) as wire:
        answer = wire.request("GET", "/some/image")
    assert answer.status == 307
    assert urlsplit(str(answer.headers["Location"]))[:2] == ("https", server.address())
