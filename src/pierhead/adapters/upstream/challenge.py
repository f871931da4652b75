"""``WWW-Authenticate``, read as tolerantly as it is written (RFC 9110, 11.6.1; RFC 6750, 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

_VALUE_CHARACTERS_MAX: Final = 4096
_CHALLENGES_MAX: Final = 8
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME: Final = re.compile(rf"({_TOKEN})(?=[ \t]|,|$)")
_BETWEEN: Final = re.compile(r"[ \t,]*")
_OTHER: Final = re.compile(r"[^\s,]+")


class Challenge(Struct, frozen=True):
    """``scheme`` and the names of ``parameters`` in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    def get(self, name: str) -> str:
        """The value of a parameter, or "" if it is missing or holds what cannot stand in a header or address."""
        value = self.parameters.get(name, "")
        return value if value.isascii() and value.isprintable() else ""


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """All challenges of all lines, in order; what is not understood is skipped. Linear in the length of the lines."""
    found: list[Challenge] = []
    for line in lines:
        if len(line) <= _VALUE_CHARACTERS_MAX:
            found += _parse_line(line)
        if len(found) > _CHALLENGES_MAX:
            break
    return found[:_CHALLENGES_MAX]


def _parse_line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(line):
        between = _BETWEEN.match(line, at)
        at = between.end() if between else at
        if at >= len(line):
            break
        if parameter := _PARAMETER.match(line, at):
            name, quoted, bare = parameter.groups()
            parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare)
            at = parameter.end()
        elif scheme := _SCHEME.match(line, at):
            parameters = {}
            found.append(Challenge(scheme[1].lower(), parameters))
            at = scheme.end()
        else:
            other = _OTHER.match(line, at)
            at = other.end() if other else at + 1
    return found


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer before Basic, as containerd and docker choose; None if neither is offered."""
    by_scheme = {challenge.scheme: challenge for challenge in reversed(list(challenges))}
    return by_scheme.get("bearer") or by_scheme.get("basic")
