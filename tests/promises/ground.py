"""The ground on which hostile input is tried: a program with known content, and a look at all of it afterwards."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

from tests.peers.images import OCI_MANIFEST, Blob, Image, Index, artifact, image, index, random_layer
from tests.peers.pierhead import Config, Pierhead, variable_of
from tests.peers.processes import LOOPBACK, wait_until
from tests.peers.wire import Wire

KIB, MIB = 1024, 1024 * 1024
BLOB_BYTES_MAX = 8 * MIB
UPLOADS_MAX = 40
PATIENCE = 15.0

ALICE, BOB, READER, OUTSIDER = "alice", "bob", "reader", "outsider"
PASSWORD = "the-same-for-all-1"
_ROLES = {ALICE: "publisher", BOB: "publisher", READER: "deployer", OUTSIDER: "auditor"}

# Listing the same repository under several ports is what tells a rule of a port from a rule of a repository.
CONFIG: Config = {
    "listen": "auto:main",
    "external_url": "http://auto:main",
    "repositories": {
        "open": {"type": "hosted", "write_policy": "ALLOW", "listen": "auto:open"},
        "once": {"type": "hosted", "write_policy": "ALLOW_ONCE", "listen": "auto:once"},
        "shut": {"type": "hosted", "write_policy": "DENY", "listen": "auto:shut"},
        "other": {"type": "hosted", "write_policy": "ALLOW"},
    },
    "accounts": {name: {"password_env": variable_of(name), "roles": [role]} for name, role in _ROLES.items()},
    "limits": {"blob_bytes": f"{BLOB_BYTES_MAX}B", "uploads_per_account": UPLOADS_MAX},
    "anonymous": "none",
}
ENVIRONMENT = {variable_of(name): PASSWORD for name in _ROLES}


@dataclass(frozen=True)
class Heard:
    """One answer as it came over the wire."""

    status: int
    headers: Message
    body: bytes

    @property
    def code(self) -> str:
        """The code of the first error, "" if the body is no error of the specification's form."""
        try:
            return str(json.loads(self.body)["errors"][0]["code"])
        except (ValueError, KeyError, TypeError, IndexError):
            return ""

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["errors"][0]["message"])

    def json(self) -> Any:
        return json.loads(self.body)

    def is_one_of(self, wanted: str) -> bool:
        """``wanted`` as tables say it: ``400 NAME_INVALID or 404``. A number alone takes any code."""
        said = f"{self.status} {self.code}"
        return any(one in {said, f"{self.status}"} for one in wanted.split(" or "))


class _Sock:
    """What HTTPResponse reads from: answers that have come already."""

    def __init__(self, data: io.BytesIO) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Unclosed(self._data))


class _Unclosed(io.RawIOBase):
    def __init__(self, data: io.BytesIO) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def answers_in(data: bytes, method: str = "GET") -> list[Heard]:
    """The answers in what a connection gave; interim ones (100) are left out."""
    found: list[Heard] = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status == 100:
            data = rest
            continue
        response = HTTPResponse(_Sock(io.BytesIO(data)), method=method)  # type: ignore[arg-type]
        response.begin()
        try:
            body = response.read()
        except IncompleteRead as cut:
            body = cut.partial
        found.append(Heard(status, response.headers, body))
        if response.length is None and "Content-Length" not in response.headers:
            break
        length = 0 if method == "HEAD" or status in (204, 304) else int(response.headers["Content-Length"])
        data = rest[length:]
    return found


@dataclass
class Ground:
    """A server, what it holds, and how to speak to it."""

    server: Pierhead
    trap: socket.socket
    image: Image = field(default_factory=lambda: image([random_layer(40_000, 1), random_layer(900, 2)], seed=1))
    index: Index = field(
        default_factory=lambda: index(
            {"linux/amd64": image(seed=1), "linux/arm64": image(seed=2, architecture="arm64")}
        )
    )
    signature: Image = field(default_factory=lambda: artifact(image([random_layer(40_000, 1)], seed=3)))
    _wires: dict[tuple[str, str], Wire] = field(default_factory=dict)
    _seen: dict[str, bytes] = field(default_factory=dict)
    _blamed: set[str] = field(default_factory=set)
    _log_from: int = 0

    def wire(self, who: str = ALICE, port: str = "open") -> Wire:
        """A kept connection of this account; "" is nobody."""
        if (who, port) not in self._wires:
            password = self.server.admin_password if who == "admin" else PASSWORD
            self._wires[who, port] = Wire(self.server.port(port), who, password if who else "")
        return self._wires[who, port]

    def authorization(self, who: str = ALICE) -> str:
        password = self.server.admin_password if who == "admin" else PASSWORD
        return "Basic " + base64.b64encode(f"{who}:{password}".encode()).decode()

    def head(
        self, method: str, target: str | bytes, headers: Mapping[str, str] | None = None, who: str = ALICE
    ) -> bytes:
        """A request's head, byte for byte as given: nothing is quoted or mended."""
        raw = target if isinstance(target, bytes) else target.encode("latin-1")
        lines = {"Host": "127.0.0.1", **({"Authorization": self.authorization(who)} if who else {}), **(headers or {})}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + text.encode("latin-1") + b"\r\n"

    def say(self, data: bytes, port: str = "open", *, end: bool = False) -> bytes:
        """Sends ``data`` on a connection of its own; all that comes until it ends. ``end`` says no more is coming."""
        with socket.create_connection((LOOPBACK, self.server.port(port)), PATIENCE) as line:
            try:
                line.sendall(data)
                if end:
                    line.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_all(line)

    def ask(
        self,
        method: str,
        target: str | bytes,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        who: str = ALICE,
        port: str = "open",
    ) -> Heard:
        """One request on a connection of its own, and its one answer."""
        framing = {"Content-Length": str(len(body))} if body or method in ("POST", "PUT", "PATCH") else {}
        head = self.head(method, target, {"Connection": "close", **framing, **(headers or {})}, who)
        found = answers_in(self.say(head + body, port), method)
        assert len(found) == 1, f"{method} {target!r}: {len(found)} answers"
        return found[0]

    def put_manifest(self, reference: str, body: bytes, media_type: str | None = OCI_MANIFEST, **more: str) -> Heard:
        """A push of any bytes as a manifest of ``known/image``."""
        headers = {} if media_type is None else {"Content-Type": media_type}
        return self.ask("PUT", f"/v2/known/image/manifests/{reference}", body, headers, **more)

    def begin(self, name: str = "known/image", who: str = ALICE, port: str = "open") -> str:
        """Opens a session; its path."""
        heard = self.ask("POST", f"/v2/{name}/blobs/uploads/", who=who, port=port)
        assert heard.status == 202, heard
        return str(heard.headers["Location"])

    def push_blob(self, blob: Blob, name: str = "known/image", who: str = ALICE, port: str = "open") -> None:
        self.wire(who, port).push_blob(name, blob)

    # --- what is known, and what is looked at afterwards ---

    def furnish(self) -> None:
        """What every row must leave as it is."""
        alice = self.wire()
        alice.push("known/image", "1.0.0", self.image)
        alice.push("known/image", "Latest", self.image)
        alice.push("known/index", "multi", self.index)
        alice.push("known/image", self.signature.digest, self.signature)
        self.wire(ALICE, "once").push("known/image", "1.0.0", self.image)
        self._seen = self.content()
        assert len(self._seen) > 12

    def content(self) -> dict[str, bytes]:
        """Everything that a reader finds of the known images, by address."""
        found: dict[str, bytes] = {}
        reader = self.wire(READER)
        for name, tag in (("known/image", "1.0.0"), ("known/image", "Latest"), ("known/index", "multi")):
            answer = reader.get_manifest(name, tag)
            found[f"{name}:{tag}"] = answer.body + str(answer.headers["Docker-Content-Digest"]).encode()
        for one in (self.image, *self.index.images, self.signature):
            name = "known/index" if one in self.index.images else "known/image"
            found[one.digest] = reader.get_manifest(name, one.digest).body
            for blob in one.blobs:
                found[blob.digest] = reader.get_blob(name, blob.digest).body
        referrers = reader.request(
            "GET", f"/v2/known/image/referrers/{image([random_layer(40_000, 1)], seed=3).digest}"
        )
        found["referrers"] = referrers.body
        found["once"] = self.wire(READER, "once").get_manifest("known/image", "1.0.0").body
        return found

    def uploads(self) -> list[str]:
        """Names of files that uploads have left in the data folder."""
        return [name for name in os.listdir(self.server.data / "uploads") if name not in self._blamed]

    def unharmed(self) -> None:
        """Raises AssertionError if known content changed, or something failed, or anything was left behind."""
        assert self.server.running
        now = self.content()
        changed = [name for name in self._seen if now.get(name) != self._seen[name]]
        assert not changed, f"these do not read back as before: {changed}"
        log = self.server.log[self._log_from :]
        self._log_from += len(log)
        assert "Traceback" not in log, log[-3_000:]
        try:
            wait_until(lambda: not self.uploads(), 5, "nothing is left in uploads")
        finally:
            self._blamed.update(self.uploads())  # on this row, and on none that follows
        assert not self._connects_out()
        assert self._nobody_was_met(), "somebody connected to the address that content names"

    def _nobody_was_met(self) -> bool:
        self.trap.setblocking(False)
        try:
            self.trap.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def _connects_out(self) -> list[str]:
        """Connections of the program whose near end is no port that it listens on (Linux)."""
        ours = {self.server.port(name) for name in ("main", "open", "once", "shut")}
        found, sockets = [], self._sockets()
        for row in Path(f"/proc/{self.server.pid}/net/tcp").read_text().splitlines()[1:]:
            near, far, state, inode = (row.split()[at] for at in (1, 2, 3, 9))
            if state != "0A" and int(near.partition(":")[2], 16) not in ours and inode in sockets:
                found.append(f"{near} to {far}")
        return found

    def _sockets(self) -> set[str]:
        folder = f"/proc/{self.server.pid}/fd"
        links = []
        for name in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                continue
        return {link[8:-1] for link in links if link.startswith("socket:[")}

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()


def read_all(line: socket.socket) -> bytes:
    """Until the other side ends the connection, or resets it."""
    pieces: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            piece = line.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces)


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """A body in chunked transfer coding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")


@dataclass(frozen=True)
class Case:
    """One line of the table: what is sent, and what is answered (``400 NAME_INVALID or 404``)."""

    row: int
    what: str
    method: str
    target: str | bytes
    wanted: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    who: str = ALICE
    port: str = "open"

    @property
    def name(self) -> str:
        return f"row {self.row}: {self.what}"

    def tried_on(self, ground: Ground) -> Heard:
        """Raises AssertionError unless the answer is one of those that the table wants."""
        heard = ground.ask(self.method, self.target, self.body, dict(self.headers), who=self.who, port=self.port)
        assert heard.is_one_of(self.wanted), f"{heard.status} {heard.body[:300]!r}, wanted {self.wanted}"
        assert heard.status < 500
        return heard
