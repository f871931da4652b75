"""Passwords and tokens that stand in a file as they are. What is found is named, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pierhead.cli.linting.findings import PLAIN_PASSWORD, Finding

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|[._-])(?:password|passwd|passphrase|secret|token|api_?key|private_?key)$|password$"
)
_ASSIGNED: Final = re.compile(
    r"""(?:^|[\s;&(])(?:export\s+|ENV\s+|ARG\s+|readonly\s+|local\s+|-e\s+|--env[ =]|--build-arg[ =])?"""
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)=(?P<value>"[^"]*"|'[^']*'|[^\s;&|)]*)"""
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@$'\"]+:(?P<value>[^\s/@]+)@", re.IGNORECASE)
_AUTH: Final = re.compile(r"""["']?auth["']?\s*:\s*\\?["'](?P<value>[A-Za-z0-9+/]{8,}={0,2})\\?["']""")
_KNOWN: Final = re.compile(r"\b(?:glpat|glptt|gldt|ghp|gho|github_pat|dckr_pat|hvs|xox[bp])[-_.][A-Za-z0-9_-]{10,}")
_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_NOTHING: Final = frozenset({"", "true", "false", "null", "none", "yes", "no", "0", "1", "~"})
_WHERE: Final = "Take it from Vault in the job (`pierhead ci login`), or from a masked variable of the project."


def plain(value: str) -> bool:
    """Whether a value is itself the secret: no variable, no place where one is, and no blank to be filled."""
    text = value.strip().strip("\"'").strip()
    if text.lower() in _NOTHING or "$" in text or "{{" in text or text.startswith(("<", "/", "./", "*", "vault:", "`")):
        return False
    return "://" not in text and len(text) >= 3


def named(name: str) -> bool:
    """Whether something of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def assigned(name: str, value: str) -> Iterator[Finding]:
    """A variable of a CI file, or an argument or variable of a build."""
    if named(name) and plain(value):
        yield Finding(PLAIN_PASSWORD, f"A secret stands in the file: the value of {name}. {_WHERE}")


def given(command: str, option: str, value: str) -> Iterator[Finding]:
    """An option of a command."""
    if plain(value):
        yield Finding(PLAIN_PASSWORD, f"A password stands in the file: {option} of {command}. {_WHERE}")


def in_line(text: str) -> Iterator[Finding]:
    """Anywhere in a line, whatever kind of file it is."""
    if _KEY.search(text):
        yield Finding(PLAIN_PASSWORD, f"A private key stands in the file. {_WHERE}")
    if _KNOWN.search(text):
        yield Finding(PLAIN_PASSWORD, f"An access token stands in the file. {_WHERE}")
    for found in _URL.finditer(text):
        if plain(found["value"]):
            yield Finding(PLAIN_PASSWORD, f"A password stands in a URL. {_WHERE}")
    for found in _AUTH.finditer(text):
        if plain(found["value"]):
            yield Finding(
                PLAIN_PASSWORD, f"A login stands in the file: `auth`, which is a name and a password. {_WHERE}"
            )


def in_command(text: str) -> Iterator[Finding]:
    """Assignments in a line of a script."""
    for found in _ASSIGNED.finditer(text):
        yield from assigned(found["name"], found["value"])
