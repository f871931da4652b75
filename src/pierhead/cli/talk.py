"""What commands that talk to a server have in common: their options, and what they print."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

import click

from pierhead.cli.client import DEFAULT_SERVER, Client, Fault, Json
from pierhead.cli.tables import Column, Look, look, show

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Talk:
    """A client, and the form of the output."""

    client: Client
    as_json: bool
    color: bool

    @property
    def look(self) -> Look:
        """Ask for it after the server has answered: ages are counted by its clock."""
        return look(self.color, self.client.now)

    def print_json(self, document: Json) -> None:
        """What the route answered, nothing added."""
        json.dump(document, sys.stdout, ensure_ascii=False)
        print()

    def list(self, items: Iterable[Json], columns: Sequence[Column], empty: str) -> None:
        """A list as a table, or as one document with all pages joined, written item by item."""
        if not self.as_json:
            rows = list(items)
            show(columns, rows, self.look, empty)
            return
        joint = '{"items": ['
        for item in items:
            print(joint, end="")
            json.dump(item, sys.stdout, ensure_ascii=False)
            joint = ", "
        print(f'{joint if joint != ", " else ""}], "next": null}}')


def talks(command: Callable[Concatenate[Talk, P], None]) -> Callable[P, None]:
    """Adds ``--server``, ``-o`` and ``--no-color``; the command gets a ``Talk`` first. A fault ends it with 1: one line
    on standard error, and with ``-o json`` the server's problem document on standard output."""
    form = click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table",
                        show_default=True, help="A table for people, or JSON for programs.")  # fmt: skip
    return form(talking(command))


def talking(command: Callable[Concatenate[Talk, P], None]) -> Callable[P, None]:
    """The same for a command that has an ``-o`` of its own."""

    @click.option("--server", envvar="PIERHEAD_SERVER", default=DEFAULT_SERVER, show_envvar=True, show_default=True,
                  metavar="URL", help="The server's main port.")  # fmt: skip
    @click.option("--no-color", "color", is_flag=True, flag_value=False, default=True, help="Plain text.")
    @click.option("--user", envvar="PIERHEAD_USER", show_envvar=True, metavar="NAME", help="The account.")
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        import os

        server, form = str(kwargs.pop("server")), kwargs.pop("form", "table")
        color, user = bool(kwargs.pop("color")), kwargs.pop("user")
        as_json = form == "json"
        try:
            client = _client(server, str(user) if user else None, os.environ)
            command(Talk(client, as_json, color), *args, **kwargs)
        except Fault as fault:
            if as_json and fault.problem is not None:
                print(json.dumps(fault.problem, ensure_ascii=False))
            print(fault.line, file=sys.stderr)
            sys.exit(1)
        except KeyError as lacking:
            other = "It is another program than Pierhead, or another version than this"
            print(f"{server} answers without {lacking}. {other}: name it with --server.", file=sys.stderr)
            sys.exit(1)

    return run


def _client(server: str, user: str | None, environment: Mapping[str, str]) -> Client:
    """With the account that was named, or else with what ``pierhead login`` keeps for this server. Raises Fault."""
    if user:
        return Client(server, user, environment.get("PIERHEAD_PASSWORD"))
    from pierhead.cli.credentials import kept_for

    kept = kept_for(server, environment)
    return Client(server, None, None) if kept is None else Client(server, kept.account, kept.token)


@dataclass(frozen=True, slots=True)
class Named:
    """An image in a repository; ``reference`` is a tag or a digest, empty if none was said."""

    repository: str
    image: str
    reference: str

    @property
    def path(self) -> tuple[str, ...]:
        """Parts of the REST address of the image."""
        return ("repositories", self.repository, "images", self.image, "-")

    @property
    def target(self) -> tuple[str, ...]:
        """Parts of the REST address of the tag or manifest."""
        kind = "manifests" if ":" in self.reference else "tags"
        return (*self.path, kind, self.reference)

    def __str__(self) -> str:
        joint = "@" if ":" in self.reference else ":"
        return f"{self.repository}/{self.image}{joint if self.reference else ''}{self.reference}"


def named(talk: Talk, text: str, repository: str | None, *, exact: bool = False) -> Named:
    """``[REPOSITORY/]IMAGE[:TAG|@DIGEST]``. Without a repository, the first group is meant, or the only repository;
    with ``exact`` it has to be said.

    Raises Fault.
    """
    name, at, reference = text.partition("@")
    if not at and ":" in text.rpartition("/")[2]:
        name, _, reference = text.rpartition(":")
    if at and ":" in name.rpartition("/")[2]:
        image, _, tag = name.rpartition(":")
        raise Fault(f"Name the tag or the digest, not both: {image}:{tag} or {image}@{reference}.")
    host, _, rest = name.partition("/")
    if rest and ":" in host:
        whole = rest + text.removeprefix(name)
        raise Fault(f"Leave out {host}: an image is named [REPOSITORY/]IMAGE[:TAG|@DIGEST] here, such as {whole}.")
    if repository is not None:
        return Named(repository, name, reference)
    known = talk.client.items("repositories")
    first, _, rest = name.partition("/")
    if rest and any(one["name"] == first for one in known):
        return Named(first, rest, reference)
    groups = [one["name"] for one in known if one["kind"] == "group"]
    chosen = groups or [one["name"] for one in known][: 1 if len(known) == 1 else 0]
    if exact or not chosen:
        listed = ", ".join(one["name"] for one in known)
        raise Fault(f"Say in which repository {name} is meant, as REPOSITORY/{name} or with --repository: {listed}.")
    return Named(chosen[0], name, reference)
