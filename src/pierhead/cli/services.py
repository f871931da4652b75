"""``pierhead services``: the service catalogue, and what is pushed of it and beside it."""

from __future__ import annotations

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import Column, Look, age, clean, plain
from pierhead.cli.talk import Talk, talks

_STATES = ("pushed", "missing", "unlisted")


def _kept(item: Json, how: Look) -> str:
    return ", ".join(f"{clean(one['name'])} ({one['tags']})" for one in item["repositories"])


def _naming(item: Json, how: Look) -> str:
    found = item["naming"]
    return "" if found is None else f"{clean(found['action'])}: {clean(found['message'])}"


_COLUMNS = (
    Column("SERVICE", plain("service")),
    Column("IMAGE", plain("image")),
    Column("STATE", plain("state"), 1),
    Column("PROJECT", plain("project_id"), 3, right=True),
    Column("OWNER", plain("owner"), 5),
    Column("CHANGED", age("changed"), 2),
    Column("IN (TAGS)", _kept, 4),
    Column("NAMING", _naming, 6),
    Column("DESCRIPTION", plain("description"), 7),
)


@click.command()
@click.option("--state", type=click.Choice(_STATES), help="In the catalogue and pushed or missing, or not in it.")
@talks
def services(talk: Talk, state: str | None) -> None:
    """List the services of the catalogue, then images that belong to none, with what rules for names say of them."""
    empty = "There is nothing like that." if state else "There are no services in the catalogue, and no images."
    talk.list(talk.client.pages("services", state=state or ""), _COLUMNS, empty)
