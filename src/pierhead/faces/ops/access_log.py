"""One line for each request, for people (nginx's ``combined`` and some fields behind it) or as JSON.

Requests are collected and written together, after their answers are out. What clients sent is escaped, and of a query
only parameters are shown that are known to hold no secret.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
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
_TOGETHER_SECONDS: Final = 0.1
_SHOWN: Final = frozenset(
    ("artifactType", "cursor", "digest", "digest-algorithm", "from", "last", "limit", "mount", "n", "prefix", "tag")
)
_HIDDEN: Final = "…"
_TEXT_MAX: Final = 400
_NOTHING: Final[Mapping[str, object]] = {}
_NOTED: Final = ("account", "repository", "member", "image", "digest", "refused", "unavailable")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
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
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._local = ""

    def add(self, ask: Ask, status: int, sent: int, seconds: float) -> None:
        """``sent`` in bytes of the body. Answered probes for health are left out: they come every few seconds."""
        if ask.target in HEALTH_PATHS and status == 200:
            return
        entries = self._entries
        entries.append((ask, status, sent, seconds, self._clock.now()))
        if len(entries) == 1:
            asyncio.get_running_loop().call_later(_TOGETHER_SECONDS, self.flush)
        elif len(entries) >= _TOGETHER_MAX:
            self.flush()

    def flush(self) -> None:
        """Hands over what was collected."""
        entries, self._entries = self._entries, []
        if entries:
            line = self._json if self.form == "json" else self._text
            self.sink.put(b"".join(line(entry) for entry in entries), len(entries))

    def _text(self, entry: _Entry) -> bytes:
        ask, status, sent, seconds, at = entry
        note = ask.note if ask.noted else _NOTHING
        more = [f"request_id={self._ids.of(ask)}"]
        for name in _NOTED[1:]:
            value = note.get(name)
            if value is not None:
                text = plain(str(value))
                more.append(f'{name}="{text}"' if " " in text else f"{name}={text}")
        if ask.taken:
            more.append(f"bytes_in={ask.taken}")
        line = (
            f"{address_of(ask) or '-'} - {plain(str(note.get('account') or '-'))} [{self._time(at)}] "
            f'"{plain(ask.method)} {plain(shown_target(ask))} HTTP/1.1" {status or _CLIENT_LEFT} {sent} '
            f'"{plain(ask.get("Referer") or "-")}" "{plain(ask.get("User-Agent") or "-")}" '
            f"{seconds:.4f} {' '.join(more)}\n"
        )
        return line.encode("utf-8", "backslashreplace")

    def _json(self, entry: _Entry) -> bytes:
        ask, status, sent, seconds, at = entry
        note = ask.note if ask.noted else _NOTHING
        fields: dict[str, object] = {
            "ts": _instant(at),
            "level": "info",
            "event": "request",
            "request_id": self._ids.of(ask),
            "remote_addr": address_of(ask),
            "user": None,
            "method": plain(ask.method),
            "path": plain(shown_target(ask)),
            "status": status or _CLIENT_LEFT,
            "bytes_in": ask.taken,
            "bytes_out": sent,
            "duration_ms": round(seconds * 1000, 3),
            "repository": None,
            "user_agent": _cut(ask.get("User-Agent")),
        }
        for name in _NOTED:
            value = note.get(name)
            if value is not None:
                fields["user" if name == "account" else name] = _cut(str(value))
        trace = _trace_id(ask.get("traceparent"))
        if trace:
            fields["trace_id"] = trace
        return self._encode(fields) + b"\n"

    def _time(self, at: int) -> str:
        """As nginx writes it, in UTC; made once a second."""
        second = at // 1_000_000
        if second != self._second:
            self._second = second
            self._local = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
        return self._local


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
    """Path and query; the value of a parameter that could be a secret is replaced."""
    if not ask.query:
        return ask.target
    shown = []
    for pair in ask.query.split("&"):
        name, equals, _ = pair.partition("=")
        shown.append(pair if unquote_plus(name) in _SHOWN or not equals else f"{name}={_HIDDEN}")
    return f"{ask.target}?{'&'.join(shown)}"


def _cut(text: str | None) -> str | None:
    """For JSON, which escapes by itself; lone surrogates are no text and become question marks."""
    if text is None:
        return None
    cut = text[:_TEXT_MAX]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode("utf-8")


def _instant(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace_id(header: str | None) -> str | None:
    """Of W3C Trace Context, ``version-trace-parent-flags``."""
    if header is None:
        return None
    parts = header.split("-")
    trace = parts[1] if len(parts) >= 4 else ""
    return trace if len(trace) == 32 and all(c in "0123456789abcdef" for c in trace) else None
