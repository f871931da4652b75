"""How much an upstream allows: Docker Hub's ``ratelimit-*``, 429 and ``Retry-After``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from pierhead.domain.refusals import UpstreamLimited, shown
from pierhead.ports.clock import Clock
from pierhead.ports.upstream import RateLimit

SECOND: Final = 1_000_000
_RETRY_AFTER_SECONDS_MAX: Final = 6 * 3600
_LIMITED_SECONDS_MAX: Final = 15 * 60
_NUMBER: Final = re.compile(r"\s*(\d{1,12})")
_WINDOW: Final = re.compile(r";\s*w\s*=\s*\"?(\d{1,9})")


def parse_amount(text: str | None) -> tuple[int | None, int | None]:
    """``100;w=21600`` -> ``(100, 21600)``: amount and window in seconds, each None where it is not understood."""
    if not text:
        return None, None
    number = _NUMBER.match(text)
    window = _WINDOW.search(text)
    return (int(number[1]) if number else None), (int(window[1]) if window else None)


def parse_retry_after(text: str | None, now: int) -> int | None:
    """Seconds from ``now`` (microseconds since 1970), of a number or a date (RFC 9110, 10.2.3); at most six hours."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), _RETRY_AFTER_SECONDS_MAX)
    try:
        instant = parsedate_to_datetime(text[:64])
    except (ValueError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    seconds = round(instant.timestamp() - now / SECOND)
    return max(0, min(seconds, _RETRY_AFTER_SECONDS_MAX))


def at_time(instant: int, *, seconds: bool = False) -> str:
    """``14:51 UTC`` or ``15:24:40 UTC``, of microseconds since 1970."""
    return datetime.fromtimestamp(instant / SECOND, tz=UTC).strftime("%H:%M:%S UTC" if seconds else "%H:%M UTC")


def message_in(body: bytes) -> str:
    """What a registry's error answer says, safe to show; "" if it says nothing that is understood."""
    try:
        said = json.loads(body)
        errors = said.get("errors") if isinstance(said, dict) else None
        first = errors[0] if isinstance(errors, list) and errors else said
        message = first.get("message") or first.get("details") if isinstance(first, dict) else ""
    except (ValueError, RecursionError):
        return ""
    return shown(message) if isinstance(message, str) else ""


class Quota:
    """What one upstream said last about its limits. One on pulls leaves blobs alone, which cost Docker Hub nothing."""

    def __init__(self, name: str, clock: Clock, limited_seconds: int) -> None:
        self._name = name
        self._clock = clock
        self._limited_seconds = limited_seconds
        self._backoff = limited_seconds
        self._pulls_until = 0
        self._blobs_until = 0
        self._said = ""
        self.rate_limit: RateLimit | None = None

    @property
    def limited_until(self) -> int | None:
        """Microseconds since 1970, while a limit holds."""
        return self._pulls_until if self._pulls_until > self._clock.now() else None

    def seen(self, headers: Mapping[str, str]) -> None:
        """Keeps the limits that stand in an answer's headers, if any do."""
        limit, window = parse_amount(headers.get("ratelimit-limit"))
        remaining, other_window = parse_amount(headers.get("ratelimit-remaining"))
        if limit is None and remaining is None:
            return
        source = shown(headers.get("docker-ratelimit-source", "")[:100])
        window = window if window is not None else other_window
        self.rate_limit = RateLimit(limit, remaining, window, source, self._clock.now())

    def passed(self) -> None:
        """An answer that was no 429: the next limit is a new one."""
        self._backoff = self._limited_seconds

    def limited(self, headers: Mapping[str, str], body: bytes, *, blob: bool) -> UpstreamLimited:
        """A 429 came; remembers until when, and gives what is to be raised."""
        now = self._clock.now()
        seconds = parse_retry_after(headers.get("retry-after"), now)
        if not seconds:
            seconds = self._backoff
            self._backoff = min(self._backoff * 2, _LIMITED_SECONDS_MAX)
        until = now + seconds * SECOND
        self._said = message_in(body)
        self._pulls_until = max(self._pulls_until, until)
        if blob:
            self._blobs_until = max(self._blobs_until, until)
        return self._refusal(until, now)

    def check(self, *, blob: bool) -> None:
        """Raises UpstreamLimited while a limit holds: asking on would prolong it."""
        now = self._clock.now()
        until = self._blobs_until if blob else self._pulls_until
        if until > now:
            raise self._refusal(until, now)

    def forget(self) -> None:
        """For new credentials, which have limits of their own."""
        self._pulls_until = self._blobs_until = 0
        self._backoff = self._limited_seconds
        self.rate_limit = None

    def _refusal(self, until: int, now: int) -> UpstreamLimited:
        seconds = -((now - until) // SECOND)
        said = f"Next try {at_time(until, seconds=True)}."
        if self._said:
            said += f" It says: {self._said}"
        return UpstreamLimited(self._name, max(1, seconds), said)
