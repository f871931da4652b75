"""nginx in front, with the file that is shipped: only its addresses and its certificate are exchanged.

nginx has 127.0.0.2 and the program 127.0.0.1, on the same port numbers, as the file's comment says.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.clients import Skopeo
from tests.peers.fixtures import made
from tests.peers.images import image, random_bytes, write_layout
from tests.peers.nginx import Nginx
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.processes import LOOPBACK, wait_until
from tests.promises.certificates import Certificates
from tests.promises.houses import DEV, GROUP
from tests.promises.ledger import plain_layer

EXAMPLE = Path(__file__).parents[2] / "examples/nginx/pierhead.conf"
FRONT = "127.0.0.2"


@dataclass(frozen=True)
class Fronted:
    """A program behind nginx."""

    server: Pierhead
    nginx: Nginx
    certificates: Certificates

    def address(self, port: str) -> str:
        """host:port as people use it."""
        return f"{FRONT}:{self.server.port(port)}"

    def logged(self, agent: str) -> dict[str, object]:
        """What the access log tells of the only request with this User-Agent."""
        found: list[dict[str, object]] = []

        def look() -> bool:
            lines = [line for line in self.server.log.splitlines() if agent in line and line.startswith("{")]
            found[:] = [json.loads(line) for line in lines]
            return bool(found)

        wait_until(look, 5, f"{agent} in the access log")
        assert len(found) == 1
        return found[0]


def example(server: Pierhead, certificates: Certificates) -> str:
    """The shipped file with this server's ports, and `{port}` for the one in plain HTTP."""
    text = EXAMPLE.read_text()
    assert "client_max_body_size 0;" in text  # the frame that tests put around it says so as well
    ports = {"8443": server.port(DEV), "8444": server.port(GROUP), "8081": server.port(), "443": server.port()}
    text = text.replace("192.0.2.10:80;", f"{LOOPBACK}:PLAIN;").replace("192.0.2.10", FRONT)
    text = re.sub(r"\b(8443|8444|8081|443)\b", lambda found: str(ports[found[1]]), text)
    for name, path in (("crt", certificates.certificate), ("key", certificates.key)):
        text = text.replace(f"/etc/nginx/tls/nexus.shared.cwiq.io.{name}", str(path))
    text = text.replace("nexus.shared.cwiq.io", FRONT)
    return text.replace("https://" + FRONT + "$", f"https://{FRONT}:{server.port()}$").replace("PLAIN", "{port}")


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronted]:
    certificates = Certificates(tmp_path_factory.mktemp("nginx"), FRONT)
    config = house(trusted_proxies=["127.0.0.1/32"], log={"format": "json"})
    server = Pierhead(config)
    server.write_config({**config, "external_url": f"https://{FRONT}:{server.port()}"})
    with server, made(lambda: Nginx(example(server, certificates))) as nginx:
        yield Fronted(server, nginx, certificates)


@pytest.fixture
def skopeo_in(skopeo: Skopeo, fronted: Fronted) -> Skopeo:
    """Signed in on all three ports, and trusting the authority."""
    for port in ("main", DEV, GROUP):
        trust = ("--tls-verify=true", "--cert-dir", str(fronted.certificates.folder))
        who = ("--username", "svc-orchestrator", "--password-stdin", fronted.address(port))
        skopeo("login", *trust, *who, stdin=PASSWORDS["svc-orchestrator"].encode())
    return skopeo


def trusting(fronted: Fronted, side: str) -> tuple[str, ...]:
    return (f"--{side}-tls-verify=true", f"--{side}-cert-dir", str(fronted.certificates.folder))


@pytest.mark.parametrize("size", [1_000, 100_000_000])
def test_skopeo_pushes_and_pulls_through_nginx(skopeo_in: Skopeo, fronted: Fronted, tmp_path: Path, size: int) -> None:
    one = image([plain_layer(size, size)], seed=size)
    write_layout(tmp_path / "in", {"1": one})
    push, pull = (f"docker://{fronted.address(port)}/nginx/sized:{size}" for port in (DEV, GROUP))
    skopeo_in("copy", "--preserve-digests", *trusting(fronted, "dest"), f"oci:{tmp_path}/in:1", push)
    skopeo_in("copy", *trusting(fronted, "src"), pull, f"dir:{tmp_path}/out")
    assert (tmp_path / "out/manifest.json").read_bytes() == one.manifest.data
    layer = one.layers[0]
    assert (tmp_path / "out" / layer.digest.removeprefix("sha256:")).read_bytes() == layer.data


def test_by_path_on_the_main_port_too(skopeo_in: Skopeo, fronted: Fronted, tmp_path: Path) -> None:
    write_layout(tmp_path / "in", {"1": image(seed=1)})
    target = f"docker://{fronted.address('main')}/{DEV}/nginx/by-path:1"
    skopeo_in("copy", *trusting(fronted, "dest"), f"oci:{tmp_path}/in:1", target)
    assert skopeo_in("inspect", "--tls-verify=true", "--cert-dir", str(fronted.certificates.folder), target).stdout


def test_sentences_name_the_addresses_that_people_use(skopeo_in: Skopeo, fronted: Fronted, tmp_path: Path) -> None:
    write_layout(tmp_path / "in", {"1": image(seed=1)})
    target = f"docker://{fronted.address(GROUP)}/orchestrator/server:1"
    done = skopeo_in("copy", *trusting(fronted, "dest"), f"oci:{tmp_path}/in:1", target, check=False)
    wrong = fronted.server.port(GROUP)
    said = f"This port ({wrong}) is for pulling. Push to {fronted.address(DEV)}/orchestrator/server."
    assert said in done.stderr


def ask(fronted: Fronted, port: str, agent: str, source: str, *, direct: bool = False, claims: str = "") -> int:
    """GET /v2/ from the address `source`, through nginx or straight to the program; the status."""
    headers = {"User-Agent": agent, **({"X-Forwarded-For": claims} if claims else {})}
    number = fronted.server.port(port)
    connection: http.client.HTTPConnection
    if direct:
        connection = http.client.HTTPConnection(LOOPBACK, number, timeout=10, source_address=(source, 0))
    else:
        context = ssl.create_default_context(cafile=str(fronted.certificates.ca))
        connection = http.client.HTTPSConnection(FRONT, number, timeout=10, source_address=(source, 0), context=context)
    try:
        connection.request("GET", "/v2/", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_log_has_the_address_of_the_client_and_not_of_nginx(fronted: Fronted) -> None:
    for port in ("main", DEV, GROUP):
        assert ask(fronted, port, f"through-{port}", "127.0.0.77") == 401
        assert fronted.logged(f"through-{port}")["remote_addr"] == "127.0.0.77"


def test_what_a_client_claims_of_itself_is_not_believed_through_nginx(fronted: Fronted) -> None:
    ask(fronted, DEV, "claims-through", "127.0.0.77", claims="203.0.113.9")
    assert fronted.logged("claims-through")["remote_addr"] == "127.0.0.77"


def test_nor_from_one_who_is_no_trusted_proxy(fronted: Fronted) -> None:
    ask(fronted, DEV, "claims-direct", "127.0.0.78", direct=True, claims="203.0.113.9")
    assert fronted.logged("claims-direct")["remote_addr"] == "127.0.0.78"


def test_the_plain_port_of_nginx_answers_health_and_sends_everything_else_to_tls(fronted: Fronted) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, fronted.nginx.port, timeout=5)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"ok\n"
    connection.request("GET", "/some/page?q=1")
    answer = connection.getresponse()
    assert answer.status == 308
    assert answer.headers["Location"] == f"https://{fronted.address('main')}/some/page?q=1"
    connection.close()


def test_a_refusal_reaches_a_client_before_it_has_sent_everything(fronted: Fronted) -> None:
    """Through nginx as well: nobody sends a gigabyte to be told that it was the wrong port."""
    context = ssl.create_default_context(cafile=str(fronted.certificates.ca))
    authorization = basic("svc-orchestrator", PASSWORDS["svc-orchestrator"])
    head = (
        f"POST /v2/x/blobs/uploads/?digest=sha256:{'0' * 64} HTTP/1.1\r\nHost: {fronted.address(GROUP)}\r\n"
        f"Authorization: {authorization}\r\nContent-Length: 1000000000\r\n\r\n"
    )
    with socket.create_connection((FRONT, fronted.server.port(GROUP)), 10) as plain:
        with context.wrap_socket(plain, server_hostname=FRONT) as secure:
            secure.sendall(head.encode() + random_bytes(100_000))
            assert secure.recv(12) == b"HTTP/1.1 405"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
