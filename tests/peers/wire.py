"""A small registry client over plain HTTP, for tests that need thousands of requests or an unusual one."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Any, Self

from tests.peers.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Blob, Image, Index
from tests.peers.processes import LOOPBACK, PeerFailed

ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))


@dataclass(frozen=True)
class Answer:
    """A whole response; `headers` are looked up whatever their case."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error, as OCI distribution 1.1 words it: `DENIED`, `NAME_UNKNOWN`…"""
        return str(self.json()["errors"][0]["code"])

    @property
    def message(self) -> str:
        """The sentence of the first error."""
        return str(self.json()["errors"][0]["message"])

    def expect(self, *statuses: int) -> Self:
        """Itself, if it has one of these statuses. Raises PeerFailed with the body."""
        if self.status not in statuses:
            raise PeerFailed(f"answered {self.status}, wanted {statuses}: {self.body[:2_000]!r}")
        return self


class Wire:
    """One kept connection to `port` of 127.0.0.1, with Basic credentials if there are any. Not for several threads."""

    def __init__(self, port: int, username: str = "", password: str = "", *, seconds: float = 60) -> None:
        self.port = port
        self._authorization = ""
        if username:
            self._authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=seconds)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`target` is a path with its query, or a whole URL of this server (a Location), which is sent as its path."""
        parts = urllib.parse.urlsplit(target)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        own = {"Authorization": self._authorization} if self._authorization else {}
        try:
            self._connection.request(method, path, body, {**own, **(headers or {})})
            response = self._connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (http.client.HTTPException, OSError):
            self._connection.close()  # the next request begins with a new one
            raise

    @contextmanager
    def streamed(self, target: str) -> Iterator[http.client.HTTPResponse]:
        """A GET whose body the caller reads, or not; the connection is closed afterwards."""
        self._connection.request("GET", target, headers={"Authorization": self._authorization})
        try:
            yield self._connection.getresponse()
        finally:
            self._connection.close()

    def upload_start(self, name: str) -> str:
        """Begin an upload; the Location to go on with."""
        answer = self.request("POST", f"/v2/{name}/blobs/uploads/", b"").expect(202)
        return str(answer.headers["Location"])

    def push_blob(self, name: str, blob: Blob) -> Answer:
        """POST, then PUT with all bytes; 201 or PeerFailed."""
        location = self.upload_start(name)
        joint = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        return self.request("PUT", f"{location}{joint}digest={blob.digest}", blob.data, headers).expect(201)

    def put_manifest(self, name: str, reference: str, manifest: Blob) -> Answer:
        """One PUT; whatever is answered."""
        return self.request(
            "PUT", f"/v2/{name}/manifests/{reference}", manifest.data, {"Content-Type": manifest.media_type}
        )

    def push(self, name: str, reference: str, what: Image | Index) -> Answer:
        """Blobs, children, then the manifest under `reference`; raises PeerFailed unless each of them is taken."""
        if isinstance(what, Index):
            for image in what.images:
                self.push(name, image.digest, image)
        else:
            for blob in what.blobs:
                self.push_blob(name, blob)
        return self.put_manifest(name, reference, what.manifest).expect(201)

    def get_manifest(self, name: str, reference: str, *, method: str = "GET") -> Answer:
        return self.request(method, f"/v2/{name}/manifests/{reference}", headers={"Accept": ACCEPT})

    def get_blob(self, name: str, digest: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", f"/v2/{name}/blobs/{digest}", headers=headers)

    def tags(self, name: str) -> list[str]:
        """All tags of an image, following pages."""
        found: list[str] = []
        target = f"/v2/{name}/tags/list"
        while target:
            answer = self.request("GET", target).expect(200)
            found += answer.json()["tags"] or []
            link = answer.headers.get("Link", "")
            target = link[link.index("<") + 1 : link.index(">")] if 'rel="next"' in link else ""
        return found

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
