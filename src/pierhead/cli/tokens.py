"""``pierhead tokens``: access tokens, which stand in for a password, can be narrowed and revoked, and end."""

from __future__ import annotations

import sys

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.nouns import Noun, rule_options, rules_from, seconds_of
from pierhead.cli.tables import Column, Look, age, clean, moment, plain
from pierhead.cli.talk import Talk, talks


def _ends(item: Json, how: Look) -> str:
    if not item["expires"]:
        return "never"
    return f"expired {moment(item['expires'])}" if item["expired"] else moment(item["expires"])


TOKENS = (
    Column("TOKEN", plain("name")),
    Column("MAY", lambda item, how: "; ".join(map(clean, item["limit"] or ["what the account may"])), 1),
    Column("LAST USED", age("last_used")),
    Column("FROM", plain("last_address"), 3),
    Column("EXPIRES", _ends),
    Column("CREATED", age("created"), 4),
    Column("BY", plain("created_by"), 5),
    Column("ID", plain("id"), 2),
)
_of = click.option("--account", metavar="NAME", help="Of another account; needs `admin`.")


@click.group(cls=Noun)
def tokens() -> None:
    """Access tokens: list, make, revoke. Without a verb: list."""


@tokens.command("list")
@_of
@talks
def list_(talk: Talk, account: str | None) -> None:
    """List access tokens; their secrets are shown when they are made, and never again."""
    talk.list(talk.client.items(*_path(account)), TOKENS, "There is no access token.")


@tokens.command()
@click.argument("name")
@click.option(
    "--expires", default="90d", show_default=True, help="How long it holds: a number with s, m, h or d; never."
)
@rule_options
@_of
@talks
def make(
    talk: Talk, name: str, expires: str, account: str | None, rules: str | None, rights: tuple[str, ...],
    repositories: tuple[str, ...], images: tuple[str, ...], tags: tuple[str, ...],
) -> None:  # fmt: skip
    """Make an access token, called NAME, and print its secret, once. It may what the account may; rules narrow that.

    As a password: pierhead tokens make ci --right pull | docker login -u ACCOUNT --password-stdin HOST:PORT
    """
    body: Json = {"name": name, "expires_in": seconds_of(expires)}
    narrowed = rules_from(rules, rights, repositories, images, tags)
    if narrowed is not None:
        body["rules"] = narrowed
    found = talk.client.send("POST", *_path(account), body=body)
    if talk.as_json:
        talk.print_json(found)
        return
    print(found["secret"])
    until = f"until {moment(found['expires'])}" if found["expires"] else "until it is revoked"
    print(f"It holds {until}, as a password of {found['account']}. It is shown this once.", file=sys.stderr)


@tokens.command()
@click.argument("token")
@_of
@talks
def revoke(talk: Talk, token: str, account: str | None) -> None:
    """Revoke TOKEN, by its name or its id: the next request with it is refused."""
    listed = talk.client.items(*_path(account))
    found = next((one for one in listed if token in (one["id"], one["name"])), None)
    if found is None:
        raise Fault(f"There is no access token `{token}`. `pierhead tokens` lists those there are.")
    done = talk.client.delete(*_path(account), found["id"])
    if talk.as_json:
        talk.print_json(done)
    else:
        print(f"{clean(found['name'])} is revoked.")


def _path(account: str | None) -> tuple[str, ...]:
    return ("account", "tokens") if account is None else ("accounts", account, "tokens")
