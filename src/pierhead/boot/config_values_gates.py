"""How values of promotion are written in the configuration file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from pierhead.boot.config_faults import Wrong
from pierhead.boot.config_values import text
from pierhead.domain.gates import DAYS
from pierhead.domain.names import Tag
from pierhead.domain.refusals import TagInvalid

_ACCOUNTS: Final = re.compile(r"[A-Za-z0-9._@+:/*-]{1,255}")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_SUFFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")


def pointer(value: object) -> str:
    """The tag of what a stage holds; empty for ``none``."""
    written = text(value)
    if written == "none":
        return ""
    try:
        tag = Tag.parse(written)
    except TagInvalid:
        raise Wrong("is no tag. Write a word such as current, or none.") from None
    if tag.is_fallback:
        raise Wrong("is a tag under which clients keep signatures. Write a word such as current, or none.")
    return tag


def suffix(value: str) -> str:
    """The end of a tag."""
    if _SUFFIX.fullmatch(value) is None:
        raise Wrong("is no end of a tag: letters, digits, . _ and -, such as -uat.")
    return value


def accounts(value: object) -> str:
    """A name of accounts, with ``*`` for any characters."""
    written = text(value)
    if _ACCOUNTS.fullmatch(written) is None:
        raise Wrong("is no name of an account, nor a pattern of such names with *.")
    return written


def attached(value: object) -> str:
    """A type of artifacts, or what an attestation states, with ``*`` for any characters."""
    written = text(value)
    if len(written) > 255 or not written.isascii() or " " in written:
        raise Wrong("is no type of artifacts, such as application/spdx+json.")
    return written


def moment(value: object) -> int:
    """``2026-12-18`` or ``2026-12-18T08:00:00Z`` -> microseconds since 1970."""
    written = text(value)
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        raise Wrong("is no instant: write it as 2026-12-18 or 2026-12-18T08:00:00Z.") from None
    if found.year < 2000 or found.year > 9000:
        raise Wrong("is no instant of our time.")
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * 1_000_000


def day(value: object) -> int:
    """``mon`` … ``sun`` -> 0 … 6."""
    written = text(value).lower()
    if written not in DAYS:
        raise Wrong(f"is no day. Known: {', '.join(DAYS)}.")
    return DAYS.index(written)


def time_of_day(value: object) -> int:
    """``08:00`` -> minutes of the day, in UTC."""
    written = value if isinstance(value, str) else ""
    if _TIME.fullmatch(written) is None:
        raise Wrong("is no time of day in UTC: write it as 08:00, in quotes.")
    hours, _, minutes = written.partition(":")
    return int(hours) * 60 + int(minutes)
