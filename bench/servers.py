"""The three servers that are compared, started for real on free ports, each with the same images."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from bench.processes import Run, cpu_seconds
from tests.peers.images import Blob, Image, image, random_bytes, random_layer
from tests.peers.nginx import Nginx
from tests.peers.pierhead import Pierhead, house
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire

NAME = "orchestrator/server"
SIZES = {"1 KB": 1_000, "100 KB": 100_000, "1 MB": 1_000_000, "100 MB": 100_000_000}


@dataclass
class Subject:
    """A server under measurement. ``pull`` and ``push`` are ports; ``authorization`` is a header's value or empty."""

    name: str
    pid: int
    pull: int
    push: int
    authorization: str = ""
    scheme: str = "http"
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def password(self) -> str:
        """Of the account in ``authorization``."""
        return base64.b64decode(self.authorization.partition(" ")[2]).decode().partition(":")[2]

    @property
    def headers(self) -> list[str]:
        """Headers for wrk."""
        accept = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        return [accept, *([f"Authorization: {self.authorization}"] if self.authorization else [])]

    def url(self, path: str) -> str:
        """On the port that answers pulls."""
        return f"{self.scheme}://127.0.0.1:{self.pull}{path}"

    def pushed(self, what: str, amount: float, clients: int) -> Run:
        """Runs the pushing client: ``small`` for ``amount`` seconds, or ``amount`` blobs of so many bytes."""
        command = [sys.executable, "-m", "bench.pushing", "127.0.0.1", str(self.push), self.authorization, NAME]
        before, began = cpu_seconds(self.pid), time.monotonic()
        done = subprocess.run([*command, what, str(amount), str(clients)], capture_output=True, text=True, check=False)
        took, after = time.monotonic() - began, cpu_seconds(self.pid)
        if done.returncode:
            raise RuntimeError(f"{self.name} did not take the pushes:\n{done.stderr[-2000:]}")
        return Run(int(done.stdout), took, after - before)


def blobs(sizes: dict[str, int]) -> dict[str, Blob]:
    """Random bytes of each size."""
    return {name: Blob(random_bytes(size, seed=size), "application/octet-stream") for name, size in sizes.items()}


def usual_image() -> Image:
    """What is pulled by tag."""
    return image([random_layer(2_000, seed=at) for at in range(6)])


@contextlib.contextmanager
def pierhead(folder: Path, content: dict[str, Blob]) -> Iterator[Subject]:
    """Authentication on, pulled through a group of three hosted repositories."""
    with Pierhead(house(), folder) as server:
        wire = server.wire("docker-hosted-dev")
        password = base64.b64encode(f"admin:{server.admin_password}".encode()).decode()
        subject = Subject(
            "pierhead",
            server.pid,
            server.port("docker-group"),
            server.port("docker-hosted-dev"),
            f"Basic {password}",
            digests=_fill(wire, content),
        )
        yield subject


@contextlib.contextmanager
def pierhead_with_tls(folder: Path, content: dict[str, Blob]) -> Iterator[Subject]:
    """The same on ports with TLS: filled in plain HTTP first, then started again with a certificate."""
    with pierhead(folder, content) as plain:
        digests = plain.digests
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    with Pierhead(house(tls=tls, external_url="https://auto:main"), folder) as server:
        pull = server.port("docker-group")
        yield Subject("pierhead, TLS", server.pid, pull, 0, plain.authorization, "https", digests)


@contextlib.contextmanager
def docker_registry(folder: Path, content: dict[str, Blob]) -> Iterator[Subject]:
    """Without authentication, on its file system storage."""
    with DockerRegistry(folder) as server:
        wire = Wire(server.port)
        yield Subject("docker-registry", server.pid, server.port, server.port, digests=_fill(wire, content))


@contextlib.contextmanager
def nginx(folder: Path, content: dict[str, Blob]) -> Iterator[Subject]:
    """Static files with sendfile: what blobs could cost at best."""
    files = folder / "files"
    files.mkdir(parents=True)
    for blob in content.values():
        (files / blob.digest.partition(":")[2]).write_bytes(blob.data)
    with Nginx(_STATIC.replace("ROOT", str(files)), folder) as server:
        yield Subject("nginx", server.pid, server.port, 0, digests={name: b.digest for name, b in content.items()})


_STATIC = """
    sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
    server { listen 127.0.0.1:{port}; access_log off; root ROOT; }
"""


def _fill(wire: Wire, content: dict[str, Blob]) -> dict[str, str]:
    wire.push(NAME, "1.0.0", usual_image())
    for blob in content.values():
        wire.push_blob(NAME, blob)
    return {name: blob.digest for name, blob in content.items()}
