"""``pierhead explain``: why may somebody not do something, and why did this come from there."""

from __future__ import annotations

import click

from pierhead.cli.tables import clean
from pierhead.cli.talk import Talk, talks

_SIGNS = {"yes": "ok", "no": "x", "passed over": "-", "goes on": ""}


@click.command()
@click.argument("action", type=click.Choice(["pull", "push", "promote"]))
@click.argument("reference")
@click.option("--account", metavar="NAME", help="Whose rights; your own without it. Others need `admin`.")
@click.option("--repository", help="Where; without it the first group, or where pushes to it go.")
@click.option("--to", help="The stage or repository of a promotion; the second stage without it.")
@click.option("--from", "source", help="Where a promotion comes from; the stage before without it.")
@talks
def explain(
    talk: Talk, action: str, reference: str, account: str | None, repository: str | None, to: str | None,
    source: str | None,
) -> None:  # fmt: skip
    """Say why ACTION on REFERENCE, written [REPOSITORY/]IMAGE[:TAG|@DIGEST], is done or refused, step by step.

    Nothing is changed, and no upstream is asked.
    """
    image, at, what = reference.partition("@")
    if not at and ":" in image.rpartition("/")[2]:
        image, _, what = image.rpartition(":")
    given = {"account": account, "repository": repository, "reference": what, "to": to, "from": source}
    query = {name: value for name, value in given.items() if value}
    found = talk.client.get("explain", action=action, image=image, **query)
    if talk.as_json:
        talk.print_json(found)
        return
    print(clean(found["answer"]))
    for number, step in enumerate(found["steps"], 1):
        sign = _SIGNS.get(step["verdict"], "")
        print(f"{number:3}  {sign:2}  {clean(step['says'])}")
