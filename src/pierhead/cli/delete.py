"""``pierhead delete``: a tag, or a manifest with its tags."""

from __future__ import annotations

import sys

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.talk import Talk, named, talks


@click.command()
@click.argument("references", nargs=-1, required=True)
@click.option("--repository", help="Where; without it REFERENCE has to begin with it.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@talks
def delete(talk: Talk, references: tuple[str, ...], repository: str | None, yes: bool) -> None:
    """Delete each REFERENCE, written [REPOSITORY/]IMAGE:TAG (the tag alone) or [REPOSITORY/]IMAGE@DIGEST (the manifest
    and the tags that point at it). The space comes back by itself, later."""
    meant = [named(talk, reference, repository, exact=True) for reference in references]
    for one in meant:
        if not one.reference:
            raise Fault(f"Say which tag or digest of {one.image}, as in {one.image}:1.0.0.")
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        what = ", ".join(map(str, meant))
        click.confirm(f"Delete {what}", abort=True, err=True)
    done: list[Json] = []
    for one in meant:
        done.append(talk.client.delete(*one.target))
        if not talk.as_json:
            print(f"{one} is deleted.")
    if talk.as_json:
        talk.print_json(done[0] if len(done) == 1 else {"items": done, "next": None})
