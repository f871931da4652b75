"""Speaks REST with a running server: Basic credentials, pages, and faults as one line that says what to do."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]

DEFAULT_SERVER: Final = "http://127.0.0.1:8081"
API: Final = "/api/v1"
_SECONDS: Final = 60.0
_LONG_SECONDS: Final = 600.0
_PAGE_ITEMS: Final = 500


class Fault(Exception):
    """What went wrong and what to do, on one line; ``problem`` is the server's own document about it."""

    def __init__(self, line: str, problem: Json | None = None) -> None:
        super().__init__(line)
        self.line = line
        self.problem = problem


class Unreachable(Fault):
    """Nobody answered, or not now: the same may work later."""


class Client:
    """One connection to one server. ``now`` is the server's clock as of its last answer."""

    def __init__(self, server: str, user: str | None, password: str | None) -> None:
        """Raises Fault for an address that is none."""
        parts = urlsplit(server)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise Fault(f"`{server}` is no address of a server: it looks like {DEFAULT_SERVER}.")
        self.server = server.rstrip("/")
        self.now: datetime | None = None
        self._is_plain = parts.scheme == "http"
        self._prefix = parts.path.rstrip("/")
        self.user = user
        self.password = password
        self._headers = {"Accept": "application/json", "User-Agent": "pierhead"}
        if user:
            try:
                login = f"{user}:{password or ''}".encode()
            except UnicodeEncodeError:
                raise Fault("What PIERHEAD_USER and PIERHEAD_PASSWORD hold has to be UTF-8, and is not.") from None
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(parts.hostname, port, timeout=_SECONDS, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, port, timeout=_SECONDS)
        )

    def get(self, *path: str, **query: str) -> Json:
        """One document. ``path`` are parts, encoded here. Raises Fault."""
        return self._ask("GET", path, query)

    def items(self, *path: str, **query: str) -> list[Json]:
        """A list that comes in one piece. Raises Fault."""
        found = self._ask("GET", path, query)["items"]
        assert isinstance(found, list)
        return found

    def pages(self, *path: str, most: int | None = None, **query: str) -> Iterator[Json]:
        """The items of all pages of a list, as they come, at most so many. Raises Fault."""
        given = {name: value for name, value in query.items() if value}
        more = {"limit": str(min(most or _PAGE_ITEMS, _PAGE_ITEMS))}
        left = most
        while True:
            page = self._ask("GET", path, {**given, **more})
            yield from page["items"][:left]
            left = None if left is None else left - len(page["items"])
            if page["next"] is None or (left is not None and left <= 0):
                return
            more["cursor"] = page["next"]

    def lines(self, *path: str, **query: str) -> Iterator[bytes]:
        """Lines of an answer that has no end, as they come; ends when the server ends it or the connection breaks.

        Raises Fault; Unreachable if nobody answers, or not now.
        """
        target = _target(path, query)
        self._connection.close()  # what broke off before is not gone on with
        with self._reaching(), _waiting(self.server):
            self._connection.request("GET", self._prefix + target, headers=self._headers)
            response = self._connection.getresponse()
        try:
            content_type = response.headers.get("Content-Type") or ""
            if response.status >= 400 or "jsonl" not in content_type:
                fault = self._document(response.status, content_type, response.read())[1]
                later = response.status >= 500 or response.status == 429
                assert fault is not None
                raise Unreachable(fault.line, fault.problem) if later else fault
            while line := response.readline():
                if not line.endswith(b"\n"):
                    return  # cut in the midst of a line
                yield line
        except (OSError, http.client.HTTPException):
            return
        finally:
            self._connection.close()

    def delete(self, *path: str) -> Json:
        """Raises Fault."""
        return self._ask("DELETE", path, {})

    def post(self, *path: str) -> Json:
        """For what may take minutes. Raises Fault."""
        self._connection.timeout = _LONG_SECONDS
        return self._ask("POST", path, {})

    def send(self, method: str, *path: str, body: Json) -> Json:
        """A document with a method that changes something. Raises Fault."""
        return self._ask(method, path, {}, body)

    def health(self) -> str:
        """What ``/health`` says; needs no credentials. Raises Fault unless it is well."""
        status, content_type, body = self._send("GET", "/health")
        text = body.decode("utf-8", "replace").strip()
        if status != 200:
            raise Fault(f"{self.server} is not ready: {text}")
        if text != "ok":
            raise self._stranger(status, content_type)
        return text

    def _ask(self, method: str, path: tuple[str, ...], query: Mapping[str, str], sent: Json | None = None) -> Json:
        body = None if sent is None else json.dumps(sent).encode()
        document, fault = self._document(*self._send(method, _target(path, query), body))
        if fault is not None:
            raise fault
        return document

    def _document(self, status: int, content_type: str, body: bytes) -> tuple[Json, Fault | None]:
        """What was answered, and the fault that it is, if it is one."""
        try:
            document: object = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict) or "json" not in content_type:
            return {}, self._stranger(status, content_type)
        return document, self._refused(document) if status >= 400 else None

    def _stranger(self, status: int, content_type: str) -> Fault:
        if status in (502, 503, 504):  # of a proxy: Pierhead's own are documents
            return Unreachable(f"What stands before {self.server} cannot reach it (status {status}). Try again later.")
        return Fault(
            f"{self.server} does not answer like Pierhead (status {status}, {content_type or 'no type'}). "
            "Name its main port with --server or PIERHEAD_SERVER."
        )

    def _refused(self, problem: Json) -> Fault:
        if problem.get("status") == 401:
            how = "`pierhead login`, or set PIERHEAD_USER and PIERHEAD_PASSWORD."
            if not self.user:
                return Fault(f"{self.server} wants a login: run {how}", problem)
            how = "PIERHEAD_PASSWORD is not set." if self.password is None else f"Run {how}"
            return Fault(f"{self.server} says to {self.user}: {problem.get('message')} {how}", problem)
        sentences = (problem.get("message"), problem.get("do"))
        line = " ".join(str(one) for one in sentences if one)
        return Fault(line or f"{self.server} refused this with status {problem.get('status')}.", problem)

    def _send(self, method: str, target: str, sent: bytes | None = None) -> tuple[int, str, bytes]:
        headers = self._headers if sent is None else {**self._headers, "Content-Type": "application/json"}
        with self._reaching(), _waiting(self.server):
            self._connection.request(method, self._prefix + target, body=sent, headers=headers)
            response = self._connection.getresponse()
            body = response.read()
        date = response.headers.get("Date")
        if date is not None:
            self.now = parsedate_to_datetime(date)
        return response.status, response.headers.get("Content-Type") or "", body

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What the network raises becomes a Fault."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise Fault(
                f"The certificate of {self.server} is not trusted ({error.verify_message}). "
                "Name the file of its authority in SSL_CERT_FILE."
            ) from error
        except ssl.SSLError as error:
            raise Fault(
                f"{self.server} does not speak TLS as it should ({error.reason or error}). The address of a plain port "
                "begins with http://: name it with --server or PIERHEAD_SERVER."
            ) from error
        except ConnectionResetError as error:  # an end without an answer is one as well
            tls = " The address of a port with TLS begins with https://." if self._is_plain else ""
            raise Unreachable(
                f"{self.server} ended the connection without an answer.{tls} Try again, or name another with --server "
                "or PIERHEAD_SERVER."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(
                f"{self.server} cannot be reached ({why}). Start it with `pierhead serve`, or name another with "
                "--server or PIERHEAD_SERVER."
            ) from error


def _target(path: tuple[str, ...], query: Mapping[str, str]) -> str:
    try:
        target = API + "".join(f"/{quote(part, safe='/:')}" for part in path)
        return target + "?" + urlencode(query) if query else target
    except UnicodeEncodeError:
        raise Fault("A name on the command line is not UTF-8: look at how it is written, and at LC_ALL.") from None


@contextmanager
def _waiting(server: str) -> Iterator[None]:
    """On a terminal, one line that rewrites itself for as long as an answer takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def tell() -> None:
        seconds = 0
        while not done.wait(1.0):
            seconds += 1
            print(f"\rwaiting for {server}  {seconds} s", end="", file=sys.stderr, flush=True)
        if seconds:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
