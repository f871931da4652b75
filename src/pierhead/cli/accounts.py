"""``pierhead accounts``: who may sign in. Accounts of the configuration file are listed and changed there."""

from __future__ import annotations

import click

from pierhead.cli.client import Json
from pierhead.cli.nouns import Noun, read_password
from pierhead.cli.tables import Column, Look, age, clean, moment, plain, show
from pierhead.cli.talk import Talk, talks


def _state(item: Json, how: Look) -> str:
    return "disabled" if item["disabled"] else "active"


_ACCOUNTS = (
    Column("NAME", plain("name")),
    Column("ROLES", plain("roles")),
    Column("STATE", _state, 2),
    Column("LAST USED", age("last_used"), 1),
    Column("FROM", plain("origin"), 3),
    Column("KIND", plain("kind"), 4),
    Column("CREATED", age("created"), 5),
    Column("BY", plain("created_by"), 6),
)
_PASSWORDS = (
    Column("PASSWORD", plain("fingerprint")),
    Column("NOW", lambda item, how: {True: "yes", False: "no"}.get(item["current"], "")),
    Column("FIRST USED", age("first"), 2),
    Column("LAST USED", age("last")),
    Column("FROM", plain("address"), 1),
)


@click.group(cls=Noun)
def accounts() -> None:
    """Accounts: list, show, add, change, remove. Without a verb: list."""


@accounts.command("list")
@talks
def list_(talk: Talk) -> None:
    """List every account: of the configuration file, made here, and `admin`."""
    talk.list(talk.client.items("accounts"), _ACCOUNTS, "There is no account.")


@accounts.command("show")
@click.argument("name")
@talks
def show_(talk: Talk, name: str) -> None:
    """Show what NAME may, and when its secrets were used: two passwords in use are a rotation that is not over."""
    found = talk.client.get("accounts", name)
    if talk.as_json:
        talk.print_json(found)
        return
    state = "disabled" if found["disabled"] else "active"
    kind = f", {found['kind']}" if found["kind"] else ""
    print(f"{found['name']} ({found['origin']}{kind}), {state}.")
    if found["created"]:
        print(f"Made {moment(found['created'])} by {clean(found['created_by'])}.")
    for role in found["rules"]:
        print(f"{role['role']}: {'; '.join(map(clean, role['may'])) or 'nothing: there is no such role any more'}")
    if found["passwords"]:
        print()
        show(_PASSWORDS, found["passwords"], talk.look, "")
    if found["tokens"]:
        from pierhead.cli.tokens import TOKENS

        print()
        show(TOKENS, found["tokens"], talk.look, "")


@accounts.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="A role; several times for several.")
@click.option("--person", "kind", flag_value="person", help="Somebody, and no program.")
@click.option("--no-password", is_flag=True, help="Only access tokens are to hold.")
@talks
def add(talk: Talk, name: str, roles: tuple[str, ...], kind: str | None, no_password: bool) -> None:
    """Make the account NAME. Its password is asked for, or read from standard input."""
    body: Json = {"name": name, "roles": list(roles), "kind": kind or "service"}
    if not no_password:
        body["password"] = read_password(f"Password of {name}")
    _done(talk, talk.client.send("POST", "accounts", body=body), f"{name} is made.")


@accounts.command()
@click.argument("name")
@talks
def remove(talk: Talk, name: str) -> None:
    """Remove the account NAME and its access tokens. What it pushed stays."""
    _done(talk, talk.client.delete("accounts", name), f"{name} is removed.")


@accounts.command()
@click.argument("name")
@talks
def disable(talk: Talk, name: str) -> None:
    """Refuse NAME from now on; its access tokens too."""
    _done(talk, talk.client.send("PATCH", "accounts", name, body={"disabled": True}), f"{name} is disabled.")


@accounts.command()
@click.argument("name")
@talks
def enable(talk: Talk, name: str) -> None:
    """Let NAME sign in again."""
    _done(talk, talk.client.send("PATCH", "accounts", name, body={"disabled": False}), f"{name} is enabled.")


@accounts.command()
@click.argument("name")
@click.argument("roles", nargs=-1, required=True)
@talks
def roles(talk: Talk, name: str, roles: tuple[str, ...]) -> None:
    """Give NAME these ROLES, and no others."""
    found = talk.client.send("PATCH", "accounts", name, body={"roles": list(roles)})
    _done(talk, found, f"{name} has the roles {', '.join(found['roles'])}.")


@accounts.command()
@click.argument("name")
@talks
def password(talk: Talk, name: str) -> None:
    """Give NAME another password, which is asked for, or read from standard input."""
    body: Json = {"password": read_password(f"New password of {name}")}
    if name == talk.client.user:
        body["old"] = talk.client.password
    _done(talk, talk.client.send("PUT", "accounts", name, "password", body=body), f"{name} has another password.")


def _done(talk: Talk, found: Json, told: str) -> None:
    if talk.as_json:
        talk.print_json(found)
    else:
        print(told)
