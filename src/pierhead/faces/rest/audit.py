"""The record of what happened: searched page by page, and followed as JSON lines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from pierhead.domain import limits
from pierhead.domain.access import Principal, Right
from pierhead.domain.refusals import Denied, QueryInvalid, Refusal, Unavailable
from pierhead.faces.door.ask import Stream
from pierhead.faces.door.ids import HEADER
from pierhead.faces.door.wire_json import encode
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.shapes import Json
from pierhead.ports.metadata.audit import EventFilter, EventRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBER: Final = re.compile(r"\d{1,18}")
_LINES_AT_ONCE: Final = 500
_SHAPE: Final[Json] = dict.fromkeys(
    ("repository", "image", "tags", "digest", "before", "address", "agent", "request_id", "through")
)


async def events(call: Call) -> Json:
    """Newest first."""
    need_auditor(call.who)
    wanted, before, limit = _wanted(call), _before(call), call.limit()
    try:
        found = await call.parts.store.report(lambda reports: reports.events(wanted, before, limit + 1))
    except TimeoutError:
        raise Unavailable(
            "To search so far back takes too long. Ask for less at once, with `since` and `until`.",
            kind="slow",
            retry_after=30,
        ) from None
    page = found[:limit]
    return shapes.page([_shape(row) for row in page], cursor_of(str(page[-1].seq)) if len(found) > limit else None)


async def stream(call: Call) -> Stream:
    """Lines behind ``after``, or from ``since`` on, or from now on; until the client or the server goes."""
    need_auditor(call.who)
    wanted = _wanted(call)
    head = (await call.server.tail.head()).seq
    after = 0 if wanted.since is not None else head
    if "after" in call.query:
        after = _number("after", call.query["after"])
    if after > head:
        # Whoever waited for what follows would miss all that is written until then.
        raise QueryInvalid("after", f"the record ends with event {head}. It was cut off, or is a restored copy")
    headers = (
        ("Content-Type", "application/jsonl"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Accel-Buffering", "no"),
        (HEADER, call.ids.of(call.ask)),
    )
    return Stream(200, headers, _lines(call, wanted, after))


def need_auditor(who: Principal) -> None:
    """Raises Denied."""
    if not who.holds(Right.READ_AUDIT):
        raise Denied(who.name, "read", "the audit record", "That needs the role `auditor` or `admin`.")


async def _lines(call: Call, wanted: EventFilter, after: int) -> AsyncIterator[bytes]:
    """A heartbeat says up to which number there is nothing more; a client that has gone is noticed by it, and so is an
    account that may not read this any more."""
    tail = call.server.tail
    yield _heartbeat(call, after)
    while not tail.over() and await _may_still(call):
        try:
            found, looked = await tail.after(wanted, after, _LINES_AT_ONCE)
        except TimeoutError:
            return  # the client comes again, and goes on behind what it has
        if found:
            yield b"".join(encode(_shape(row)) + b"\n" for row in found)
        if looked > after:
            after = looked
            continue
        await tail.wait_beyond(after, limits.AUDIT_HEARTBEAT_SECONDS)
        if call.ask.gone():
            return
        if tail.last <= after:
            yield _heartbeat(call, after)


async def _may_still(call: Call) -> bool:
    """Accounts come and go while a line is open for days."""
    try:
        return (await call.again()).holds(Right.READ_AUDIT)
    except Refusal:
        return False


def _heartbeat(call: Call, after: int) -> bytes:
    return encode({"kind": "heartbeat", "seq": after, "at": shapes.instant(call.parts.clock.now())}) + b"\n"


def _shape(row: EventRow) -> Json:
    """Flat; what every event has comes first, and what only its kind has behind that."""
    head: Json = {"seq": row.seq, "at": shapes.instant(row.at), "kind": row.kind, "account": row.account or None}
    return {**head, **_SHAPE, **row.body, **head}


# --- what the query says -------------------------------------------------------------------------------------------


def _wanted(call: Call) -> EventFilter:
    query = call.query
    now = call.parts.clock.now()
    since, until = (_instant(name, query.get(name), now) for name in ("since", "until"))
    account, repository, image, kind = (query.get(name) for name in ("account", "repository", "image", "kind"))
    return EventFilter(account, repository, image, kind, since, until)


def _instant(name: str, text: str | None, now: int) -> int | None:
    """Microseconds since 1970. Raises QueryInvalid."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise QueryInvalid(
            name, "it is an instant with its zone, such as 2026-03-03T12:00:00Z, or a time ago: 90s, 2h, 7d"
        )
    return (found - _EPOCH) // timedelta(microseconds=1)


def _before(call: Call) -> int | None:
    text = call.cursor()
    return _number("cursor", text) if text else None


def _number(name: str, text: str) -> int:
    if not text.isascii() or _NUMBER.fullmatch(text) is None:
        raise QueryInvalid(name, "it is the number of an event" if name == "after" else "no answer ever said it")
    return int(text)
