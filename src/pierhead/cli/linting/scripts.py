"""Shell scripts and Dockerfiles, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pierhead.cli.linting import secrets
from pierhead.cli.linting.commands import Script
from pierhead.cli.linting.findings import Finding
from pierhead.cli.linting.reference import House
from pierhead.cli.linting.variables import is_open, resolved

_FROM: Final = re.compile(r"(?i)from\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+as\s+(?P<stage>\S+))?\s*")
_COPY: Final = re.compile(r"(?i)(?:copy|add)\s.*?--from=(?P<image>\S+)")
_MOUNT: Final = re.compile(r"--mount=\S*?\bfrom=(?P<image>[^\s,]+)")
_SETTING: Final = re.compile(r"(?i)(arg|env)\s+(?P<rest>.+)", re.DOTALL)
_PAIR: Final = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)(?:=("[^"]*"|'[^']*'|\S*))?""")


def joined(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that end with a backslash together with those that continue them, each with the number of its first one."""
    begin, text = 0, ""
    for number, line in lines:
        begin = begin if text else number
        stripped = line.rstrip()
        if stripped.endswith("\\"):
            text += stripped[:-1] + " "
            continue
        yield begin, text + stripped
        text = ""
    if text:
        yield begin, text


def shell(text: str, house: House, known: dict[str, str]) -> Iterator[Finding]:
    """A script, or a file of variables."""
    script = Script(house, known)
    yield from script_lines(list(enumerate(text.splitlines(), 1)), script)


def script_lines(lines: list[tuple[int, str]], script: Script) -> Iterator[Finding]:
    """Lines with their numbers."""
    for number, line in joined(lines):
        if line.lstrip().startswith("#"):
            continue
        for found in script.line(line.strip()):
            yield replace(found, line=number)


def dockerfile(text: str, house: House, known: dict[str, str]) -> Iterator[Finding]:
    """A Dockerfile or Containerfile: what it is built from, what it sets, and what it runs."""
    known = dict(known)
    stages: set[str] = set()
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if not line.lstrip().startswith("#")]
    for number, line in joined(lines):
        for found in _instruction(line.strip(), house, known, stages):
            yield replace(found, line=number)


def _instruction(line: str, house: House, known: dict[str, str], stages: set[str]) -> Iterator[Finding]:
    begins = _FROM.fullmatch(line)
    if begins is not None:
        yield from _base(resolved(begins["image"], known), house, stages)
        if begins["stage"]:
            stages.add(begins["stage"].lower())
        return
    sets = _SETTING.fullmatch(line)
    if sets is not None:
        yield from secrets.in_line(line)
        yield from _settings(sets, known)
        return
    copies = _COPY.match(line) or _MOUNT.search(line)
    if copies is not None:
        yield from _base(resolved(copies["image"], known), house, stages)
    if line[:4].lower() == "run ":
        yield from Script(house, dict(known)).line(line[4:].strip())
    else:
        yield from secrets.in_line(line)


def _base(image: str, house: House, stages: set[str]) -> Iterator[Finding]:
    if image.lower() not in stages and not image.isdigit() and not (is_open(image) and "/" not in image):
        yield from house.pulled(image)


def _settings(found: re.Match[str], known: dict[str, str]) -> Iterator[Finding]:
    rest = found["rest"].strip()
    first, _, behind = rest.partition(" ")
    pairs = [(first, behind.strip())] if "=" not in first and behind and found[1].lower() == "env" else []
    for name, value in pairs or [(one[1], one[2] or "") for one in _PAIR.finditer(rest)]:
        value = value.strip("\"'")
        yield from secrets.assigned(name, value)
        if value and (found[1].lower() == "env" or name not in known):
            known[name] = resolved(value, known)
