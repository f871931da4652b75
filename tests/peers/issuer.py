"""An issuer of id_tokens, as a registry sees one: discovery and keys over HTTP or HTTPS, on a port of the loopback.

It answers honestly with the keys of `GitLab` until `play` puts something else in front of one of its addresses. What
is nasty about a false issuer is what it sends, so that this is a real server too.
"""

from __future__ import annotations

import functools
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from joserfc.jwk import RSAKey

from tests.peers.gitlab import GitLab
from tests.peers.processes import LOOPBACK

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/oauth/discovery/keys"
_STEP = 1 << 16


@functools.cache
def key_of(kid: str) -> RSAKey:
    """The same for all issuers of a run: a key takes a tenth of a second to make."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


class Asked(BaseHTTPRequestHandler):
    """One request; a behaviour is called with it."""

    protocol_version = "HTTP/1.1"
    issuer: Issuer

    def do_GET(self) -> None:
        self.issuer.answer(self)

    def say(self, body: bytes | object, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """An answer with its length; `body` as bytes or as what JSON is made of."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(sent)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


Behaviour = Callable[[Asked], None]


class Issuer:
    """`signer` signs now; `keys` are all whose keys are published. `asked` counts requests by path.

    With `tls` it has a certificate of an authority of its own, `authority` (a PEM file in `folder`).
    """

    def __init__(self, folder: Path | None = None, *, tls: bool = False) -> None:
        handler = type("Handler", (Asked,), {"issuer": self})
        self._server = ThreadingHTTPServer((LOOPBACK, 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"
        self.authority = (folder or Path()) / "authority.pem"
        if tls:
            self._certify()
        self.signer = GitLab(self.url, "first", key_of("first"))
        self.keys = [self.signer]
        self.asked: Counter[str] = Counter()
        self.closing = threading.Event()
        self._played: dict[str, Behaviour] = {}

    def _certify(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(LOOPBACK).configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: object, trace: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def rotate(self, kid: str = "second", *, keep: bool = False) -> GitLab:
        """From now on another key signs and is published, the old one only with `keep`. Returns who signed before."""
        before, self.signer = self.signer, GitLab(self.url, kid, key_of(kid))
        self.keys = [self.signer, *(self.keys if keep else ())]
        return before

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key for one in self.keys for key in one.jwks()["keys"]]}

    def play(self, behaviour: Behaviour | None, path: str = KEYS) -> None:
        """Answer like that at `path` (None: honestly again)."""
        if behaviour is None:
            self._played.pop(path, None)
        else:
            self._played[path] = behaviour

    def answer(self, asked: Asked) -> None:
        self.asked[asked.path] += 1
        try:
            if asked.path in self._played:
                self._played[asked.path](asked)
            elif asked.path.partition("?")[0] == DISCOVERY:
                asked.say(self.signer.discovery())
            elif asked.path.partition("?")[0] == KEYS:
                asked.say(self.jwks())
            else:
                asked.say(b"not here", 404, "text/plain")
        except OSError:
            asked.close_connection = True


# --- what a false or a broken issuer does ----------------------------------------------------------------------------


def redirects(to: str) -> Behaviour:
    return lambda asked: asked.say(b"", 302, Location=to)


def moves(asked: Asked) -> None:
    """To an address of its own, where the honest answer is."""
    asked.say(b"", 307, Location=f"{asked.issuer.url}{asked.path}?moved")


def fails(status: int = 500) -> Behaviour:
    return lambda asked: asked.say({"error": "broken"}, status)


def says(body: bytes | object, kind: str = "application/json", **headers: str) -> Behaviour:
    return lambda asked: asked.say(body, 200, kind, **headers)


def hangs(asked: Asked) -> None:
    """No answer until the end."""
    asked.issuer.closing.wait(60)
    asked.close_connection = True


def drips(asked: Asked) -> None:
    """A byte a tenth of a second, without end."""
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.end_headers()
    while not asked.issuer.closing.wait(0.1):
        asked.wfile.write(b" ")


def breaks_off(asked: Asked) -> None:
    """Half of what was announced."""
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.send_header("Content-Length", "1000")
    asked.end_headers()
    asked.wfile.write(b'{"keys": [')
    asked.close_connection = True


def floods(asked: Asked) -> None:
    """50 MB that begin like a set of keys, as fast as they are taken."""
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.end_headers()
    asked.wfile.write(b'{"keys": [')
    for _ in range(50_000_000 // _STEP):
        asked.wfile.write(b" " * _STEP)
    asked.close_connection = True
