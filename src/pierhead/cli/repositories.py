"""``pierhead repositories``: what there is to push to and to pull from."""

from __future__ import annotations

import click

from pierhead.cli.tables import Column, plain, size
from pierhead.cli.talk import Talk, talks

_COLUMNS = (
    Column("NAME", plain("name")),
    Column("KIND", plain("kind")),
    Column("WRITES", plain("write_policy"), 2),
    Column("STAGE", plain("stage"), 5),
    Column("REACHED AT", plain("external"), 1),
    Column("IMAGES", plain("images"), 3, right=True),
    Column("SIZE", size("bytes"), 3, right=True),
    Column("UPSTREAM", plain("upstream"), 6),
    Column("MEMBERS", plain("members"), 7),
    Column("BY PATH", plain("path"), 8),
)


@click.command()
@talks
def repositories(talk: Talk) -> None:
    """List the repositories that you may read."""
    talk.list(talk.client.items("repositories"), _COLUMNS, "There is no repository that you may read.")
