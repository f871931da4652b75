"""Heads of answers and the bodies of the door's own refusals, as bytes."""

from email.utils import formatdate
from http import HTTPStatus
from json import dumps
from time import monotonic
from typing import Final

from pierhead.faces.door.ask import Answer, Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON: Final = ("Content-Type", "application/json")
# What Docker knows a registry by, on refusals too: whatever is broken here was meant for one.
REGISTRY: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_OURS: Final = frozenset(
    spelling
    for name in ("Content-Length", "Transfer-Encoding", "Connection", "Date", "Server")
    for spelling in (name, name.lower())
)


class Heads:
    """Writes heads. Status line, Server and Date are made once per second and status."""

    def __init__(self) -> None:
        self._starts: dict[int, str] = {}
        self._until = 0.0

    def _start(self, status: int) -> str:
        now = monotonic()
        if now >= self._until:
            self._starts.clear()
            self._until = now + 1.0
        start = self._starts.get(status)
        if start is None:
            date = formatdate(usegmt=True)
            start = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\nServer: Pierhead\r\nDate: {date}\r\n"
            self._starts[status] = start
        return start

    def head(self, status: int, headers: Headers, framing: str) -> bytes:
        """Status line and header section with its empty line; ``framing`` is a run of ready lines.

        Raises ValueError when a header of ours holds a line break or NUL (RFC 9110 section 5.5): such a head could
        split into two answers, so it never leaves. Headers that only the door may write are left out.
        """
        pairs = headers if headers.__class__ is list or headers.__class__ is tuple else dict(headers).items()
        lines = [f"{name}: {value}\r\n" for name, value in pairs if name not in _OURS]
        block = "".join(lines)
        count = len(lines)
        if block.count("\n") != count or block.count("\r") != count or "\0" in block:
            raise ValueError("a header of an answer holds a line break or NUL")
        return f"{self._start(status)}{block}{framing}\r\n".encode()


def refusal(status: int, code: str, message: str, headers: Headers = (), *, close: bool = True) -> Answer:
    """An error answer in the form of the OCI distribution-spec ("Error Codes"); never holds bytes of the client."""
    body = dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    pairs = (REGISTRY, JSON, *(headers if isinstance(headers, list | tuple) else dict(headers).items()))
    return Answer(status, pairs, body, close=close)


BROKEN: Final = refusal(
    500,
    "UNKNOWN",
    "The server failed while it handled this request. The cause is in its log; try again, and tell an administrator "
    "if it stays.",
    close=False,
)
UNREADABLE: Final = refusal(
    503,
    "UNAVAILABLE",
    "The server could not read what it keeps. The cause is in its log; try again in a moment.",
    headers=(("Retry-After", "5"),),
    close=False,
)
NOT_HTTP: Final = refusal(
    400,
    "UNSUPPORTED",
    "The request is not well-formed HTTP/1.1. If the client speaks TLS, this port may be a plain one: check the "
    "scheme and the port of the address.",
)
LONG_TARGET: Final = refusal(
    414, "UNSUPPORTED", "The address of the request is too long or has too many parameters: shorten it."
)
LARGE_HEAD: Final = refusal(
    431,
    "UNSUPPORTED",
    "The headers of the request are too large or too many: send fewer, or a shorter token or cookie.",
)
BAD_TARGET: Final = refusal(
    400, "UNSUPPORTED", "The request target must be a path that begins with '/', without scheme, host or fragment."
)
BAD_HOST: Final = refusal(400, "UNSUPPORTED", "The Host header must be one host name or address, with or without port.")
BAD_METHOD: Final = refusal(
    405, "UNSUPPORTED", "This method is not served here.", headers=(("Allow", ", ".join(METHODS)),)
)
BAD_EXPECT: Final = refusal(417, "UNSUPPORTED", "The only expectation that is met is 'Expect: 100-continue'.")
BODY_BROKEN: Final = refusal(400, "UNSUPPORTED", "The body of the request is broken or ended early: send it again.")
BODY_LARGE: Final = refusal(413, "SIZE_INVALID", "The body of the request is larger than what is accepted here.")
BODY_SLOW: Final = refusal(
    408, "UNSUPPORTED", "The body of the request came too slowly or stopped: send it again, over a faster connection."
)
HEAD_SLOW: Final = refusal(408, "UNSUPPORTED", "The head of the request did not arrive in time: send it again.")
FULL: Final = refusal(
    503,
    "UNAVAILABLE",
    "All connections of this port are in use: try again in a moment.",
    headers=(("Retry-After", "2"),),
)
