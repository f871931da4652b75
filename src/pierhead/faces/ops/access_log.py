"""One line for each request, for people (nginx's ``combined`` and some fields behind it) or as JSON.

Requests are collected and their lines made together, after the answers are out. Lines are handed to the thread that
writes them a few times a second: each time it wakes, it and the event loop contend for the interpreter for some
milliseconds, which costs more than making the lines. What clients sent is escaped, and of a query only parameters are
shown that are known to hold no secret.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import address_of
from pierhead.faces.door.front import HEALTH_PATHS
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.ops.sink import Sink
from pierhead.ports.clock import Clock

_TOGETHER_MAX: Final = 64
_HANDED_OVER_SECONDS: Final = 0.1
_HANDED_OVER_BYTES: Final = 256 << 10
_SHOWN: Final = frozenset(
    ("artifactType", "cursor", "digest", "digest-algorithm", "from", "last", "limit", "mount", "n", "prefix", "tag")
)
_HIDDEN: Final = "…"
_NAMED: Final = re.compile(r"//[^/]*@")
_TEXT_MAX: Final = 400
_NOTHING: Final[Mapping[str, object]] = {}
# Names that were parsed, and kinds of refusals: nothing in them has to be escaped.
_NAMES: Final = frozenset(("repository", "member", "image", "digest", "refused"))
# Sentences, some with words of an upstream: why something could not be answered, or is perhaps out of date.
_SENTENCES: Final = ("unavailable", "stale")
_SECOND: Final = 1_000_000
_AGENTS_MAX: Final = 256
_CLIENT_LEFT: Final = 499  # nginx's number for a client that closed before an answer

_Entry = tuple[Ask, int, int, float, int]


class AccessLog:
    """``add`` is called on the event loop once for each request."""

    def __init__(self, sink: Sink, clock: Clock, ids: RequestIds, form: str) -> None:
        """``form`` is ``text`` or ``json``."""
        self.sink = sink
        self.form = form
        self._clock = clock
        self._ids = ids
        self._entries: list[_Entry] = []
        self._lines: list[bytes] = []
        self._count = self._bytes = 0
        self._due = False
        # Names and digests are kinds of ``str`` that the encoder does not know by itself.
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._second = -1
        self._local = self._utc = ""
        self._agents: dict[str, str] = {}

    def add(self, ask: Ask, status: int, sent: int, seconds: float) -> None:
        """``sent`` in bytes of the body. Answered probes for health are left out: they come every few seconds."""
        if status == 200 and ask.target in HEALTH_PATHS:
            return
        entries = self._entries
        entries.append((ask, status, sent, seconds, self._clock.now()))
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_HANDED_OVER_SECONDS, self.flush)
        if len(entries) >= _TOGETHER_MAX:
            self._write_down()
            if self._bytes >= _HANDED_OVER_BYTES:
                self._hand_over()

    def flush(self) -> None:
        """Hands over what was collected."""
        self._due = False
        self._write_down()
        self._hand_over()

    def _write_down(self) -> None:
        entries, self._entries = self._entries, []
        line = self._json if self.form == "json" else self._text
        lines = b"".join([line(entry) for entry in entries])
        self._lines.append(lines)
        self._count += len(entries)
        self._bytes += len(lines)

    def _hand_over(self) -> None:
        if self._count:
            self.sink.put(b"".join(self._lines), self._count)
        self._lines.clear()
        self._count = self._bytes = 0

    def _text(self, entry: _Entry) -> bytes:
        ask, status, sent, seconds, at = entry
        note = ask.note if ask.noted else _NOTHING
        more = f" request_id={self._ids.of(ask)}"
        for name in note:
            if name in _NAMES:
                more += f" {name}={note[name]}"
        for name in _SENTENCES:
            if name in note:
                more += f' {name}="{plain(str(note[name]))}"'
        if ask.taken:
            more += f" bytes_in={ask.taken}"
        referer = ask.get("Referer")
        target = plain(shown_target(ask) if ask.query or ask.target[:1] != "/" else ask.target)
        if at // _SECOND != self._second:
            self._turn(at)
        line = (
            f'{address_of(ask) or "-"} - {note.get("account", "-")} [{self._local}] "{ask.method} {target} HTTP/1.1" '
            f'{status or _CLIENT_LEFT} {sent} "{"-" if referer is None else plain(shown_referer(referer))}" '
            f'"{self._agent(ask)}" {seconds:.4f}{more}\n'
        )
        return line.encode("utf-8", "backslashreplace")

    def _json(self, entry: _Entry) -> bytes:
        ask, status, sent, seconds, at = entry
        note = ask.note if ask.noted else _NOTHING
        if at // _SECOND != self._second:
            self._turn(at)
        target = shown_target(ask) if ask.query or ask.target[:1] != "/" else ask.target
        fields: dict[str, object] = {
            "ts": f"{self._utc}{at // 1000 % 1000:03}Z",
            "level": "info",
            "event": "request",
            "request_id": self._ids.of(ask),
            "remote_addr": address_of(ask),
            "user": note.get("account"),
            "method": ask.method,
            "path": _cut(target),
            "status": status or _CLIENT_LEFT,
            "bytes_in": ask.taken,
            "bytes_out": sent,
            "duration_ms": round(seconds * 1000, 3),
            "repository": None,
            "user_agent": _cut(ask.get("User-Agent")),
        }
        for name in note:
            if name in _NAMES or name in _SENTENCES:
                fields[name] = str(note[name])
        trace = _trace_id(ask.get("traceparent"))
        if trace:
            fields["trace_id"] = trace
        return self._encode(fields) + b"\n"

    def _agent(self, ask: Ask) -> str:
        """There are few different ones, so what was escaped is remembered."""
        agent = ask.get("User-Agent")
        if agent is None:
            return "-"
        found = self._agents.get(agent)
        if found is None:
            if len(self._agents) >= _AGENTS_MAX:
                self._agents.clear()
            found = self._agents[agent] = plain(agent)
        return found

    def _turn(self, at: int) -> None:
        """Another second has begun: how both forms write it, in UTC."""
        self._second = at // _SECOND
        moment = time.gmtime(self._second)
        self._local = time.strftime("%d/%b/%Y:%H:%M:%S +0000", moment)
        self._utc = time.strftime("%Y-%m-%dT%H:%M:%S.", moment)


def plain(text: str) -> str:
    """``text`` so that it can stand between quotes on one line: quotes, backslashes and all that does not print are
    escaped as nginx does it, ``\\xNN``."""
    if len(text) > _TEXT_MAX:
        text = text[:_TEXT_MAX] + _HIDDEN
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(one if one.isprintable() and one not in '"\\' else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return "".join(
        f"\\x{byte:02X}" for byte in one.encode("utf-8", "surrogateescape" if one >= "\udc80" else "replace")
    )


def shown_target(ask: Ask) -> str:
    """Path and query; the value of a parameter that could be a secret is replaced, and so is who is named before the
    host, when a client sends a whole address as to a proxy (RFC 9112, 3.2.2)."""
    target = _NAMED.sub("//…@", ask.target) if ask.target[:1] != "/" else ask.target
    if not ask.query:
        return target
    shown = []
    for pair in ask.query.split("&"):
        name, equals, _ = pair.partition("=")
        shown.append(pair if unquote_plus(name) in _SHOWN or not equals else f"{name}={_HIDDEN}")
    return f"{target}?{'&'.join(shown)}"


def shown_referer(referer: str) -> str:
    """Where a page was; what stands behind its path, or before its host, could be a secret."""
    address, mark = referer, ""
    for one in "?#":
        address, found, _ = address.partition(one)
        mark = found or mark
    address = _NAMED.sub("//…@", address)
    return f"{address}{mark}{_HIDDEN}" if mark else address


def _cut(text: str | None) -> str | None:
    """For JSON, which escapes by itself; lone surrogates are no text and become question marks."""
    if text is None:
        return None
    cut = text[:_TEXT_MAX]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode("utf-8")


def _trace_id(header: str | None) -> str | None:
    """Of W3C Trace Context, ``version-trace-parent-flags``."""
    if header is None:
        return None
    parts = header.split("-")
    trace = parts[1] if len(parts) >= 4 else ""
    return trace if len(trace) == 32 and all(c in "0123456789abcdef" for c in trace) else None
