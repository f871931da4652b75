"""Speaks the distribution API with one server: manifests, blobs from any byte on, uploads that are gone on with.

Requests that can be sent again are, a few times, when the connection breaks or the server is away for a moment.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from pierhead.cli.client import Client, Fault, Unreachable
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import MANIFEST_TYPES
from pierhead.domain.refusals import Refusal

T = TypeVar("T")

PIECE_BYTES: Final = 1 << 20
_SECONDS: Final = 120.0
TRIES_MAX: Final = 6
_PAUSE_SECONDS: Final = 0.25
_PAUSE_SECONDS_MAX: Final = 4.0
_ANSWER_BYTES_MAX: Final = 8 * limits.MIB
_REDIRECTS_MAX: Final = 5
_PAGES_MAX: Final = 1_000
# 416 is an upload at another place than was thought, perhaps since the request that broke off is still being read.
_LATER: Final = frozenset({416, 429, 500, 502, 503, 504})
_ACCEPT: Final = {"Accept": ", ".join(sorted(MANIFEST_TYPES))}
_RAW: Final = {"Content-Type": "application/octet-stream"}


class Broken(Unreachable):
    """The connection broke, or the server is away: what was begun may be gone on with."""


class Refused(Fault):
    """What the server refuses; ``status`` and ``code`` as it said them."""

    def __init__(self, line: str, status: int, code: str) -> None:
        super().__init__(line)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A manifest as it is stored."""

    digest: Digest
    media_type: str
    data: bytes


class Registry:
    """``server`` is the address of a main port; names are REPOSITORY/IMAGE."""

    def __init__(self, client: Client, sleep: Callable[[float], None] = time.sleep) -> None:
        self.server = client.server
        self._sleep = sleep
        self._anonymous = not client.user
        self._parts = urlsplit(client.server)
        self._headers = {"User-Agent": "pierhead"}
        if client.user:
            token = base64.b64encode(f"{client.user}:{client.password or ''}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._line = self._connection(client.server)

    @property
    def host(self) -> str:
        """host:port, as it stands in front of an image's name."""
        return self._parts.netloc

    # --- reading -----------------------------------------------------------------------------------------------------

    def manifest(self, name: str, reference: str) -> Body | None:
        """None if there is none. Raises Fault, also for bytes that are not those of the digest."""
        heard = self.patiently(lambda: self._ask("GET", f"/v2/{name}/manifests/{reference}", headers=_ACCEPT))
        if heard.status == 404:
            return None
        self._expect(heard, 200)
        said = reference if ":" in reference else heard.headers.get("docker-content-digest", "")
        try:
            wanted = Digest.parse(said)
            digest = Digest.of(heard.body, wanted.algorithm)
        except Refusal as refusal:
            raise Fault(f"{self.server} names {name} by a digest that is none: {refusal.message}") from None
        if digest != wanted:
            raise Fault(f"{self.server} sent other bytes for {name} than those of {wanted}. Nothing of them is used.")
        return Body(digest, heard.headers.get("content-type", ""), heard.body)

    def tagged(self, name: str, tag: str) -> Digest | None:
        """What a tag stands for now. Raises Fault."""
        heard = self.patiently(lambda: self._ask("HEAD", f"/v2/{name}/manifests/{tag}", headers=_ACCEPT))
        if heard.status == 404:
            return None
        self._expect(heard, 200)
        return Digest.parse(heard.headers.get("docker-content-digest", ""))

    def blob_size(self, name: str, digest: Digest) -> int | None:
        """In bytes; None if the image has no such blob. Raises Fault."""
        heard = self.patiently(lambda: self._ask("HEAD", f"/v2/{name}/blobs/{digest}"))
        if heard.status == 404:
            return None
        self._expect(heard, 200)
        return int(heard.headers.get("content-length", "0"))

    def referrers(self, name: str, digest: Digest) -> list[Digest]:
        """Of all pages. Raises Fault."""
        found: list[Digest] = []
        target = f"/v2/{name}/referrers/{digest}"
        for _ in range(_PAGES_MAX):
            heard = self.patiently(lambda: self._ask("GET", target))  # noqa: B023
            if heard.status == 404:
                return found
            self._expect(heard, 200)
            listed = self._json(heard).get("manifests") or []
            found += [Digest.parse(str(one["digest"])) for one in listed]
            target = _next(heard.headers.get("link", ""))
            if not target:
                break
        return found

    def tags_after(self, name: str, last: str, count: int) -> list[str]:
        """So many tags that sort behind ``last``. Raises Fault."""
        target = f"/v2/{name}/tags/list?n={count}&last={quote(last, safe='')}"
        heard = self.patiently(lambda: self._ask("GET", target))
        if heard.status == 404:
            return []
        self._expect(heard, 200)
        return [str(one) for one in self._json(heard).get("tags") or []]

    def pieces(self, name: str, digest: Digest, start: int, stop: int) -> Iterator[bytes]:
        """A blob's bytes from ``start`` to before ``stop``; where the connection breaks, another goes on behind the
        last byte. Raises Fault."""
        tries = 0
        while start < stop:
            before = start
            try:
                for piece in self._stream(f"/v2/{name}/blobs/{digest}", start, stop):
                    start += len(piece)
                    yield piece
                if start < stop:
                    raise Broken(f"{self.server} ended {digest} after {start} of {stop} bytes.")
            except Broken:
                tries = 1 if start > before else tries + 1
                if tries >= TRIES_MAX:
                    raise
                self.pause(tries)

    # --- writing -----------------------------------------------------------------------------------------------------

    def begin(self, name: str, digest: Digest) -> str | None:
        """The place of a new upload; None if the blob is there now, taken from the same image of another repository.

        Raises Fault.
        """
        target = f"/v2/{name}/blobs/uploads/?mount={quote(digest, safe='')}"
        heard = self.patiently(lambda: self._ask("POST", target, b""))
        if heard.status == 201:
            return None
        self._expect(heard, 202)
        return self._place(heard)

    def offset(self, place: str) -> int | None:
        """How many bytes an upload holds; None if there is no such upload any more, or nothing in it. Raises Fault."""
        heard = self.patiently(lambda: self._ask("GET", place))
        if heard.status == 404:
            return None
        self._expect(heard, 204)
        last = heard.headers.get("range", "").rpartition("-")[2]
        return int(last) + 1 if last.isdigit() and last != "0" else None

    def append(self, place: str, pieces: Iterable[bytes], start: int, count: int) -> str:
        """Sends bytes; where the upload goes on. Raises Broken, and then ``offset`` tells what came over; Fault."""
        headers = {**_RAW, "Content-Range": f"{start}-{start + count - 1}", "Content-Length": str(count)}
        heard = self._ask("PATCH", place, pieces, headers)
        self._expect(heard, 202)
        return self._place(heard)

    def finish(self, place: str, digest: Digest, pieces: Iterable[bytes], start: int, count: int) -> None:
        """Ends an upload, with its last bytes. Raises Broken and Fault."""
        joint = "&" if "?" in place else "?"
        target = f"{place}{joint}digest={quote(digest, safe='')}"
        headers = {**_RAW, "Content-Length": str(count)}
        if start and count:
            headers["Content-Range"] = f"{start}-{start + count - 1}"
        self._expect(self._ask("PUT", target, pieces, headers), 201)

    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> None:
        """Raises Fault."""
        headers = {"Content-Type": media_type}
        target = f"/v2/{name}/manifests/{reference}"
        self._expect(self.patiently(lambda: self._ask("PUT", target, body, headers)), 201)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def patiently(self, act: Callable[[], T]) -> T:
        """Does it, and again while the server is away, a few times. Raises Fault."""
        for tried in range(1, TRIES_MAX):
            try:
                return act()
            except Broken:
                self.pause(tried)
        return act()

    def pause(self, tried: int) -> None:
        """Before the next try, longer each time."""
        self._sleep(min(_PAUSE_SECONDS * 2 ** (tried - 1), _PAUSE_SECONDS_MAX))

    def _ask(
        self, method: str, target: str, body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Heard:  # fmt: skip
        """Raises Broken, also for 429 and what the server says of its own troubles."""
        response = self._exchange(self._line, method, self._parts.path.rstrip("/") + target, body, headers or {})
        try:
            data = response.read(_ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        if len(data) > _ANSWER_BYTES_MAX:
            self._line.close()
            raise Fault(f"{self.server} answers with more than {_ANSWER_BYTES_MAX} bytes where a document is wanted.")
        heard = Heard(response.status, {name.lower(): value for name, value in response.getheaders()}, data)
        if response.status in _LATER:
            raise Broken(self._said(heard)[0])
        return heard

    def _exchange(
        self, line: http.client.HTTPConnection, method: str, target: str, body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:  # fmt: skip
        sent = {**self._headers, **headers}
        try:
            try:
                line.request(method, target, body=body, headers=sent)
            except (BrokenPipeError, ConnectionResetError):
                if line.sock is None:
                    raise
            return line.getresponse()  # a server that refuses a body says why before it hangs up
        except ssl.SSLCertVerificationError as error:
            line.close()
            raise Fault(
                f"The certificate of {self.server} is not trusted ({error.verify_message}). "
                "Name the file of its authority in SSL_CERT_FILE."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        except BaseException:
            line.close()  # in the midst of a body nothing else can be said on it
            raise

    def _stream(self, target: str, start: int, stop: int) -> Iterator[bytes]:
        """A blob's bytes on a connection of its own, wherever the server sends its readers. Raises Broken and Fault."""
        wanted = {"Range": f"bytes={start}-{stop - 1}"}
        address = self.server + target
        for _ in range(_REDIRECTS_MAX):
            line = self._connection(address)
            try:
                response = self._fetch(line, address, wanted)
                if response.status in (301, 302, 303, 307, 308):
                    address = urljoin(address, response.headers.get("Location") or "")
                    continue
                yield from self._parts_of(response, start, stop)
                return
            finally:
                line.close()
        raise Fault(f"{self.server} sends its readers from one address to the next without end.")

    def _fetch(
        self, line: http.client.HTTPConnection, address: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        parts = urlsplit(address)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        own = (parts.scheme, parts.netloc) == (self._parts.scheme, self._parts.netloc)
        if own:
            return self._exchange(line, "GET", target, None, headers)
        try:
            line.request("GET", target, headers=dict(headers))  # credentials are for the server alone
            return line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error

    def _parts_of(self, response: http.client.HTTPResponse, start: int, stop: int) -> Iterator[bytes]:
        if response.status >= 400:
            headers = {name.lower(): value for name, value in response.getheaders()}
            heard = Heard(response.status, headers, response.read(_ANSWER_BYTES_MAX))
            if response.status in _LATER:
                raise Broken(self._said(heard)[0])
            self._expect(heard, 200)
        at = 0 if response.status == 200 else start  # whoever knows no ranges sends all of it
        try:
            while at < stop and (piece := response.read(PIECE_BYTES)):
                wanted = piece[max(start - at, 0) : stop - at]
                at += len(piece)
                if wanted:
                    yield wanted
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error

    def _connection(self, address: str) -> http.client.HTTPConnection:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Fault(f"{self.server} sends its readers to `{address}`, which is no address.")
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_SECONDS, context=context, blocksize=PIECE_BYTES
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS, blocksize=PIECE_BYTES)

    def _broken(self, error: Exception) -> Broken:
        self._line.close()
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Broken(f"{self.server} cannot be reached ({why}). Run the same command again: it goes on from there.")

    # --- answers -----------------------------------------------------------------------------------------------------

    def _expect(self, heard: Heard, status: int) -> None:
        if heard.status == status:
            return
        if heard.status == 401 and self._anonymous:
            how = "run `pierhead login`, or set PIERHEAD_USER and PIERHEAD_PASSWORD"
            raise Refused(f"{self.server} wants a login: {how}.", 401, "UNAUTHORIZED")
        sentence, code = self._said(heard)
        raise Refused(sentence, heard.status, code)

    def _said(self, heard: Heard) -> tuple[str, str]:
        try:
            first = json.loads(heard.body)["errors"][0]
            return str(first["message"]), str(first["code"])
        except (ValueError, LookupError, TypeError):
            return f"{self.server} answered with status {heard.status}, where Pierhead would not.", ""

    def _json(self, heard: Heard) -> dict[str, list[dict[str, object]]]:
        try:
            found: object = json.loads(heard.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Fault(f"{self.server} does not answer like a registry. Name Pierhead's main port.")
        return found

    def _place(self, heard: Heard) -> str:
        parts = urlsplit(heard.headers.get("location", ""))
        path = parts.path.removeprefix(self._parts.path.rstrip("/"))
        return path + (f"?{parts.query}" if parts.query else "")


def _next(link: str) -> str:
    """The path of the next page in a ``Link``; empty for none."""
    if 'rel="next"' not in link:
        return ""
    parts = urlsplit(link.partition("<")[2].partition(">")[0])
    return parts.path + (f"?{parts.query}" if parts.query else "")
