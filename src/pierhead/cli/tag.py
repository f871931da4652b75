"""``pierhead tag history``: what a tag stood for."""

from __future__ import annotations

import click

from pierhead.cli.client import Fault
from pierhead.cli.tables import Column, digest, moment, plain
from pierhead.cli.talk import Talk, named, talks

_HISTORY = (
    Column("FROM", lambda item, how: moment(item["since"])),
    Column("TO", lambda item, how: moment(item["until"]) or "now"),
    Column("DIGEST", digest("digest")),
    Column("BY", plain("by"), 1),
    Column("IN", plain("member"), 2),
)


@click.group()
def tag() -> None:
    """Look at one tag."""


@tag.command()
@click.argument("reference")
@click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@talks
def history(talk: Talk, reference: str, repository: str | None, limit: int) -> None:
    """Show what REFERENCE, written [REPOSITORY/]IMAGE:TAG, stood for, newest first."""
    where = named(talk, reference, repository)
    if not where.reference or ":" in where.reference:
        raise Fault(f"Say which tag, as in {where.image}:1.0.0.")
    talk.list(talk.client.items(*where.target, "history", limit=str(limit)), _HISTORY, "")
