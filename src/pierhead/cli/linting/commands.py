"""Commands of a script: which images they push and pull, and which passwords stand in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pierhead.cli.linting import secrets
from pierhead.cli.linting.findings import Finding
from pierhead.cli.linting.reference import House
from pierhead.cli.linting.variables import resolved

_ENGINES: Final = frozenset({"docker", "podman", "nerdctl", "buildah"})
_WITH_LOGIN: Final = _ENGINES | {"skopeo", "crane", "oras", "helm"}
_BEFORE: Final = frozenset({"sudo", "exec", "time", "env", "then", "do", "else", "if", "while", "!", "RUN"})
_ASSIGNMENT: Final = re.compile(r"(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_CUT: Final = re.compile(r"&&|\|\||[;|]")
# Options of the commands below whose value is the next word.
_VALUED: Final = frozenset(
    {
        *("-a", "-d", "-f", "-H", "-o", "-p", "-t", "-u"),
        *("--authfile", "--cert-dir", "--creds", "--src-creds", "--dest-creds", "--src-authfile", "--dest-authfile"),
        *("--username", "--password", "--user", "--host", "--config", "--registry-config", "--context"),
        *("--tag", "--label", "--build-arg", "--target", "--output", "--cache-from", "--cache-to", "--cache-repo"),
        *("--file", "--dockerfile", "--destination", "--platform", "--policy", "--format", "--digestfile", "--iidfile"),
        *("--network", "--progress", "--secret", "--sign-by", "--retry-times", "--artifact-type", "--annotation"),
    }
)


@dataclass(slots=True)
class Script:
    """Lines of a shell, read one after the other; ``known`` is what variables stand for up to here."""

    house: House
    known: dict[str, str] = field(default_factory=dict)

    def line(self, text: str) -> Iterator[Finding]:
        """One line, with those that continue it."""
        yield from secrets.in_line(text)
        yield from secrets.in_command(text)
        for part in _CUT.split(text):
            words = _words(part)
            self._note(words)
            yield from self._command(words)

    def _note(self, words: Sequence[str]) -> None:
        """What a line of assignments alone sets."""
        rest = words[1:] if words[:1] == ["export"] else words
        found = [_ASSIGNMENT.fullmatch(word) for word in rest]
        if found and all(found):
            for one in found:
                assert one is not None
                if "$(" not in one[2] and "`" not in one[2]:
                    self.known[one[1]] = resolved(one[2], self.known)
                else:
                    self.known.pop(one[1], None)

    def _command(self, words: Sequence[str]) -> Iterator[Finding]:
        at = 0
        while at < len(words) and (words[at] in _BEFORE or _ASSIGNMENT.fullmatch(words[at])):
            at += 1
        if at == len(words):
            return
        name = resolved(words[at], self.known).rpartition("/")[2]
        # As they are written: what a variable holds is told where it is set.
        yield from _logins(name, *_parsed(words[at + 1 :]))
        options, plain = _parsed([resolved(word, self.known) for word in words[at + 1 :]])
        if name in _ENGINES and plain:
            verb, images = _verb(plain)
            yield from self._engine(verb, images, options)
        elif name == "executor":
            yield from self._pushed(options, "--destination", "-d", "--cache-repo")
        elif name in ("skopeo", "crane", "oras", "regctl") and plain:
            yield from self._copier(name, plain, options)

    def _engine(self, verb: str, images: Sequence[str], options: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        if verb == "push" and images:
            yield from self.house.pushed(images[-1])
        elif verb == "pull":
            for one in images:
                yield from self.house.pulled(one)
        elif verb == "tag":
            for one in images[1:]:
                yield from self.house.pushed(one)
        elif verb in ("build", "bud"):
            yield from self._pushed(options, "-t", "--tag")

    def _copier(self, name: str, plain: Sequence[str], options: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        verb, images = _verb(plain)
        if name == "skopeo":
            images = [one for one in images if one.startswith("docker://")]
        if verb in ("copy", "cp") and len(images) == 2:
            yield from self.house.pulled(images[0])
            yield from self.house.pushed(images[1])
        elif verb in ("copy", "push") and name in ("skopeo", "crane") and images and plain[-1].endswith(images[-1]):
            yield from self.house.pushed(images[-1])
        elif verb in ("push", "tag", "attach") and images and name == "oras":
            yield from self.house.pushed(images[0])
        elif verb in ("pull", "inspect", "manifest", "digest", "copy") and images:
            yield from self.house.pulled(images[0])

    def _pushed(self, options: Sequence[tuple[str, str]], *names: str) -> Iterator[Finding]:
        for option, value in options:
            if option in names and value:
                yield from self.house.pushed(value)


def _logins(name: str, options: Sequence[tuple[str, str]], plain: Sequence[str]) -> Iterator[Finding]:
    """Passwords among the options. What a variable holds is not in the file."""
    for option, value in options:
        if option in ("--creds", "--src-creds", "--dest-creds") or (name == "curl" and option in ("-u", "--user")):
            if ":" in value and secrets.plain(value.partition(":")[2]):
                yield from secrets.given(name, option, value.partition(":")[2])
        elif option in ("-p", "--password") and name in _WITH_LOGIN and "login" in plain and secrets.plain(value):
            yield from secrets.given(name, option, value)


def _verb(plain: Sequence[str]) -> tuple[str, Sequence[str]]:
    """``docker image push X`` and ``docker buildx build .`` are what they are without the noun."""
    if plain[0] in ("image", "buildx", "builder") and len(plain) > 1:
        return plain[1], plain[2:]
    return plain[0], plain[1:]


def _parsed(words: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and the other words."""
    options: list[tuple[str, str]] = []
    plain: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, equals, value = word.partition("=")
        if not equals and name in _VALUED and at < len(words) and not (name == "-a" and plain[:1] == ["push"]):
            value = words[at]
            at += 1
        options.append((name, value))
    return options, plain


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()
