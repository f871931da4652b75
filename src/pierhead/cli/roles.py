"""``pierhead roles``: sets of rights on patterns of repositories, images and tags."""

from __future__ import annotations

import click

from pierhead.cli.client import Fault
from pierhead.cli.nouns import Noun, rule_options, rules_from
from pierhead.cli.tables import Column, clean, plain
from pierhead.cli.talk import Talk, talks

_ROLES = (
    Column("ROLE", plain("name")),
    Column("MAY", lambda item, how: "; ".join(map(clean, item["may"]))),
    Column("FROM", plain("origin"), 1),
)


@click.group(cls=Noun)
def roles() -> None:
    """Roles: list, show, set, remove. Without a verb: list."""


@roles.command("list")
@talks
def list_(talk: Talk) -> None:
    """List every role, with what it may in words."""
    talk.list(talk.client.items("roles"), _ROLES, "There is no role.")


@roles.command()
@click.argument("name")
@talks
def show(talk: Talk, name: str) -> None:
    """Show the role NAME; with -o json, what `roles set --rules` takes stands under `rules`."""
    found = talk.client.get("roles", name)
    if talk.as_json:
        talk.print_json(found)
    else:
        print(f"{found['name']} ({found['origin']})")
        for one in found["may"]:
            print(f"  {clean(one)}")


@roles.command("set")
@click.argument("name")
@rule_options
@talks
def set_(
    talk: Talk, name: str, rules: str | None, rights: tuple[str, ...], repositories: tuple[str, ...],
    images: tuple[str, ...], tags: tuple[str, ...],
) -> None:  # fmt: skip
    """Make the role NAME, or change what it gives: one rule by options, or several from a file."""
    given = rules_from(rules, rights, repositories, images, tags)
    if given is None:
        raise Fault("Say what the role gives, such as --right pull --image 'orchestrator/*', or with --rules FILE.")
    found = talk.client.send("PUT", "roles", name, body={"rules": given})
    if talk.as_json:
        talk.print_json(found)
    else:
        print(f"{name} gives: {'; '.join(map(clean, found['may']))}.")


@roles.command()
@click.argument("name")
@talks
def remove(talk: Talk, name: str) -> None:
    """Remove the role NAME, which no account may have."""
    found = talk.client.delete("roles", name)
    if talk.as_json:
        talk.print_json(found)
    else:
        print(f"{name} is removed.")
