"""``docker-credential-pierhead``: hands Docker, Podman and others the login of a job when it is needed, so that no file
holds it. The protocol is that of docker-credential-helpers: one word, standard input, standard output, and errors on
standard output with exit code 1."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from pierhead import __version__

_INPUT_BYTES_MAX: Final = 1 << 16
NOT_FOUND: Final = "credentials not found in native keychain"
"""These words tell a client to go on without a login (docker-credential-helpers, credentials/error.go)."""


def main() -> None:
    """The entry point: ends with 0, or with 1 and one line on standard output."""
    word = sys.argv[1] if len(sys.argv) == 2 else ""
    given = (
        sys.stdin.buffer.read(_INPUT_BYTES_MAX).decode("utf-8", "replace") if word in ("get", "store", "erase") else ""
    )
    code, text = answer(word, given, dict(os.environ))
    if text:
        print(text)
    if code and word == "get" and text != NOT_FOUND:
        print(text, file=sys.stderr)  # docker says no more than "no basic auth credentials", and passes this on
    sys.exit(code)


def answer(word: str, given: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code and what is printed for one call; ``given`` came on standard input."""
    from pierhead.cli.ci_ways import kept
    from pierhead.cli.client import Fault

    try:
        if word == "get":
            return _get(given.strip(), environment)
        if word == "list":
            way = kept(environment)
            return 0, json.dumps(dict.fromkeys(way.registries, way.account))
    except Fault as fault:
        return 1, fault.line
    if word == "store":
        return 1, "docker-credential-pierhead keeps nothing: it asks anew each time, and no `docker login` is needed."
    if word == "erase":
        return 0, ""  # there is nothing to forget, and `docker logout` is content
    if word == "version":
        return 0, f"docker-credential-pierhead {__version__}"
    return 1, "Usage: docker-credential-pierhead <store|get|erase|list|version>"


def _get(server: str, environment: Mapping[str, str]) -> tuple[int, str]:
    from pierhead.cli.ci_ways import kept

    if not server:
        return 1, "no credentials server URL"
    way = kept(environment)
    if _host(server) not in map(str.lower, way.registries):
        return 1, NOT_FOUND
    login = way.login(environment)
    return 0, json.dumps({"ServerURL": server, "Username": login.username, "Secret": login.password})


def _host(server: str) -> str:
    """`https://HOST:PORT/v2/` and `HOST:PORT` are one registry."""
    return server.rpartition("://")[2].partition("/")[0].lower()
