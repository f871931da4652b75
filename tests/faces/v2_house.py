"""A running program for tests of the distribution API, on its own ports, and small things that they share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.peers.images import Blob, random_bytes
from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer, Wire
from tests.promises.ground import CONFIG, ENVIRONMENT, PASSWORD

OCTETS = "application/octet-stream"
SENT = {"Content-Type": OCTETS}


def house() -> Pierhead:
    """Hosted repositories `open`, `once`, `shut` on ports of their own, `other` by path only."""
    return Pierhead(CONFIG, environment=ENVIRONMENT)


def sha512(data: bytes) -> str:
    return "sha512:" + hashlib.sha512(data).hexdigest()


def octets(size: int, seed: int = 0) -> Blob:
    return Blob(random_bytes(size, seed), OCTETS)


@dataclass(frozen=True)
class Place:
    """One way to the same repository: by its port, or by path through the main port."""

    wire: Wire
    prefix: str

    def path(self, name: str, rest: str) -> str:
        return f"/v2/{self.prefix}{name}/{rest}"

    def ask(
        self, method: str, name: str, rest: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; each answer of the API has the header by which Docker knows a registry."""
        answer = self.wire.request(method, self.path(name, rest), body, headers)
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        return answer

    def follow(
        self, method: str, location: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request to an address that an earlier answer gave."""
        answer = self.wire.request(method, location, body, headers)
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        return answer

    def begin(self, name: str, query: str = "") -> str:
        """Opens an upload: 202, a relative Location on this way, a UUID, an empty range."""
        answer = self.ask("POST", name, f"blobs/uploads/{query}", b"").expect(202)
        location = answer.headers["Location"]
        assert re.fullmatch(re.escape(self.path(name, "blobs/uploads/")) + "[0-9a-f]{32}", location)
        assert location.endswith(answer.headers["Docker-Upload-UUID"])
        assert answer.headers["Range"] == "0-0"
        assert answer.headers["Content-Length"] == "0"
        return str(location)

    def check_blob(self, name: str, digest: str, data: bytes) -> None:
        """It reads back by GET and HEAD, with everything that clients rely on."""
        read = self.ask("GET", name, f"blobs/{digest}").expect(200)
        assert read.body == data
        head = self.ask("HEAD", name, f"blobs/{digest}").expect(200)
        for answer in (read, head):
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Content-Type"] == OCTETS
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Content-Encoding" not in answer.headers


def ways(server: Pierhead, who: str = "alice") -> dict[str, Place]:
    """Both ways to the repository `open`."""
    password = None if who == "admin" else PASSWORD
    return {
        "by port": Place(server.wire("open", who, password), ""),
        "by path": Place(server.wire("main", who, password), "open/"),
    }
