"""Configurations that several tests of promises share, and a client that trusts a certificate."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Any

from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import LOOPBACK, PeerFailed
from tests.peers.wire import Wire

DEV, UAT, PROD, GROUP = "docker-hosted-dev", "docker-hosted-uat", "docker-hosted-prod", "docker-group"


def hosted_only(**more: object) -> Config:
    """One hosted repository with a port of its own; `more` are further keys of the top level."""
    return {
        "listen": "auto:main",
        "external_url": "http://auto:main",
        "repositories": {DEV: {"type": "hosted", "write_policy": "ALLOW", "listen": f"auto:{DEV}"}},
        "accounts": {"svc-orchestrator": {"password_env": "SVC_ORCHESTRATOR_PASSWORD", "roles": ["publisher"]}},
        "anonymous": "none",
        **more,
    }


class SecureWire(Wire):
    """A `Wire` over TLS that accepts only what `ca` has signed."""

    def __init__(self, port: int, username: str, password: str, ca: Path, *, seconds: float = 20) -> None:
        super().__init__(port, username, password, seconds=seconds)
        self._connection = http.client.HTTPSConnection(
            LOOPBACK, port, timeout=seconds, context=ssl.create_default_context(cafile=str(ca))
        )


def workers_of(server: Pierhead) -> list[int]:
    """Process ids of the children of a server, from /proc (Linux)."""
    return [int(word) for word in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs still; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def worker_behind(server: Pierhead, wire: Wire) -> int:
    """The process id of the worker that holds the far end of a connection that was just used (Linux)."""
    near = near_port(wire)
    inode = _inode_of(wire.port, near)
    for pid in workers_of(server):
        if inode in _sockets_of(pid):
            return pid
    raise PeerFailed(f"no worker of {server.pid} holds the connection from port {near}")


def near_port(wire: Wire) -> int:
    """The port of this end of a connection that is open."""
    sock: Any = wire._connection.sock
    assert sock is not None, "the connection was not used yet, or was closed by the server"
    return int(sock.getsockname()[1])


def _inode_of(port: int, near: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (here, there) == (port, near):
            return fields[9]
    raise PeerFailed(f"no connection from {near} to {port}")


def _sockets_of(pid: int) -> set[str]:
    found: set[str] = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(handle.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
