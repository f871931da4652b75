"""``pierhead images`` and ``pierhead tags``: what a repository holds."""

from __future__ import annotations

from collections.abc import Iterator

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import Column, Look, age, digest, plain, size
from pierhead.cli.talk import Talk, named, talks


def _rule(item: Json, how: Look) -> str:
    """The rule of the tag strategy that makes such tags, and whether they move."""
    told = plain("rule")(item, how)
    return f"{told}, moving" if item.get("moving") else told


_IMAGES = (
    Column("NAME", plain("name")),
    Column("REPOSITORY", plain("repository"), 1),
    Column("TAGS", plain("tags"), 3, right=True),
    Column("CHANGED", age("changed"), 2),
    Column("IN", plain("members"), 4),
)
_TAGS = (
    Column("TAG", plain("name")),
    Column("DIGEST", digest("digest")),
    Column("SIZE", size("size"), 2, right=True),
    Column("SINCE", age("since"), 1),
    Column("LAST PULL", age("pulled"), 4),
    Column("BY", plain("by"), 3),
    Column("IN", plain("member"), 4),
    Column("TYPE", plain("media_type"), 5),
    Column("RULE", _rule, 6),
)


@click.command()
@click.argument("repository", required=False)
@click.option("--prefix", default="", help="Only names that begin with this.")
@talks
def images(talk: Talk, repository: str | None, prefix: str) -> None:
    """List images: those of REPOSITORY, or of all hosted repositories and proxies. REPOSITORY/PREFIX is understood."""
    if repository is not None and "/" in repository:
        repository, _, inside = repository.partition("/")
        prefix = prefix or inside

    def found() -> Iterator[Json]:
        names = [repository] if repository is not None else _all(talk)
        for name in names:
            yield from talk.client.pages("repositories", name, "images", prefix=prefix)

    talk.list(found(), _IMAGES, "There is no such image." if prefix else "There is no image yet.")


def _all(talk: Talk) -> list[str]:
    return [one["name"] for one in talk.client.items("repositories") if one["kind"] != "group"]


@click.command()
@click.argument("image")
@click.option("--repository", help="Where; without it the first group, or what IMAGE begins with.")
@click.option("--prefix", default="", help="Only tags that begin with this.")
@talks
def tags(talk: Talk, image: str, repository: str | None, prefix: str) -> None:
    """List the tags of IMAGE, written [REPOSITORY/]IMAGE."""
    where = named(talk, image, repository)
    talk.list(talk.client.pages(*where.path, "tags", prefix=prefix), _TAGS, f"{where} has no such tag.")
