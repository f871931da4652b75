"""Groups of commands about one noun, which list when no verb is said; how passwords, rules and durations come in."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from pierhead.cli.client import Fault, Json

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FILE_CHARACTERS_MAX: Final = 1_000_000

F = TypeVar("F", bound=Callable[..., Any])


class Noun(click.Group):
    """``pierhead accounts`` says the same as ``pierhead accounts list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts in the verb that was left out."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def read_password(what: str) -> str:
    """From a prompt on a terminal, else the first line of standard input: never from the command line, which others
    can read. Raises Fault if none comes."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, confirmation_prompt=True, err=True))
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise Fault(
            f"No password came: write it to standard input, or run this on a terminal. It is asked as {what!r}."
        )
    return text


def seconds_of(text: str) -> int | None:
    """``90d`` -> seconds; None for ``never``. Raises Fault."""
    if text == "never":
        return None
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise Fault(f"`{text}` is no duration: write a number with s, m, h or d, such as 90d, or never.")
    return int(found[1]) * _SECONDS[found[2]]


def rule_options(command: F) -> F:
    """One rule by options, or all of them from a file."""
    for option in (
        click.option("--rules", metavar="FILE", help="A JSON list of rules; - for standard input."),
        click.option("--tag", "tags", multiple=True, help="A pattern of tags that a push may set."),
        click.option("--image", "images", multiple=True, help="A pattern of images; every one without it."),
        click.option("--repository", "repositories", multiple=True, help="A pattern of repositories."),
        click.option("--right", "rights", multiple=True, help="pull, push, …; several times for several."),
    ):
        command = option(command)
    return command


def rules_from(
    rules: str | None, rights: tuple[str, ...], repositories: tuple[str, ...], images: tuple[str, ...],
    tags: tuple[str, ...],
) -> list[Json] | None:  # fmt: skip
    """What ``rule_options`` said; None for nothing. Raises Fault."""
    if rules is not None:
        return _read_rules(rules)
    if not rights:
        if repositories or images or tags:
            raise Fault("Say what is given there with --right, such as --right pull.")
        return None
    given = {"repositories": repositories, "images": images, "tags": tags}
    return [{"rights": list(rights), **{key: list(value) for key, value in given.items() if value}}]


def _read_rules(path: str) -> list[Json]:
    try:
        if path == "-":
            text = sys.stdin.read(_FILE_CHARACTERS_MAX)
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read(_FILE_CHARACTERS_MAX)
        found: object = json.loads(text)
    except OSError as error:
        raise Fault(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Fault(f'{path} holds no JSON. A list of rules looks like [{{"rights": ["pull"]}}].') from error
    if not isinstance(found, list):
        raise Fault(f'{path} holds no list. Rules look like [{{"rights": ["pull"]}}].')
    return found
