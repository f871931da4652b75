"""The server's own log, on standard error; the access log is another stream, on standard output."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Final

from pierhead.faces.ops.sink import Sink

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TEXT: Final = "%(asctime)s %(levelname)s %(message)s"


class _Text(logging.Formatter):
    """One line for each record, with its fields behind it; a traceback follows on lines of its own. Times are UTC."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        if not fields:
            return text
        first, newline, rest = text.partition("\n")
        return f"{first} {fields}{newline}{rest}"


class _Json(logging.Formatter):
    """One object for each record, shaped as the lines of the access log are."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told: dict[str, object] = {"ts": at, "level": record.levelname.lower(), "logger": record.name}
        told["event"] = record.getMessage()
        told |= _fields(record)
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str, ensure_ascii=False)


class _ToSink(logging.Handler):
    """Hands lines to a thread, so that nobody waits for whoever reads them."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a record that cannot be formatted is told by its template."""
        try:
            text = self.format(record)
        except Exception:
            text = f"a log record could not be formatted: {record.msg!r}"
        self._sink.put((text + "\n").encode("utf-8", "backslashreplace"))


def use(form: str, sink: Sink | None = None) -> None:
    """From now on the log has this form (``text`` or ``json``), written by ``sink``, or directly without one."""
    handler = logging.StreamHandler() if sink is None else _ToSink(sink)
    formatter = _Json() if form == "json" else _Text(_TEXT)
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
