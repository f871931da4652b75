"""A Vault that misbehaves in ways that a real one does not on demand: wrong content, redirects, silence, drops."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

TOKEN = "s.oddVaultGivesThisToken01"

# Path without /v1/ to status, headers and body.
Answer = tuple[int, dict[str, str], str]
Script = dict[str, Answer | Callable[["OddVault"], Answer]]

LOGIN = "auth/jwt/login"
READ = "secret/data/nexus/svc-orchestrator"
REVOKE = "auth/token/revoke-self"


def said(document: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document)


GOOD: Script = {
    LOGIN: said({"auth": {"client_token": TOKEN}}),
    READ: said({"data": {"data": {"username": "u", "password": "the-password-1"}, "metadata": {}}}),
    REVOKE: (204, {}, ""),
}


class OddVault:
    """Answers what `script` says on a free port; `seen` are the paths in order, with the token of each."""

    def __init__(self, script: Script, *, drips: bool = False) -> None:
        self.script = {**GOOD, **script}
        self.drips = drips  # a byte now and then, so that no read ever waits for long
        self.seen: list[tuple[str, str]] = []
        self.arrived = threading.Event()
        """Set by an answer that is about to keep its client waiting."""
        self.over = threading.Event()
        """Set at the end, so that nobody is kept waiting for longer."""
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/v1/")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                odd.seen.append((path, self.headers.get("X-Vault-Token") or ""))
                given = odd.script.get(path, said({"errors": []}, 404))
                status, headers, body = given(odd) if callable(given) else given
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for byte in body.encode() if odd.drips else ():
                    self.wfile.write(bytes((byte,)))
                    if odd.over.wait(0.3):
                        return
                if not odd.drips:
                    self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def keep_waiting(self) -> Answer:
        """An answer that does not come."""
        self.arrived.set()
        self.over.wait(60)
        return said({})

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
