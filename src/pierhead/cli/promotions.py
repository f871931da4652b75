"""``pierhead promotions``, ``approve`` and ``reject``: what was promoted, and what waits."""

from __future__ import annotations

import click

from pierhead.cli.client import Json
from pierhead.cli.promotion_words import digest_of, head_of, result_lines, way_of
from pierhead.cli.tables import Column, Look, age, plain
from pierhead.cli.talk import Talk, talks

_STATES = ("waiting", "done", "rejected", "expired")


def _gates(item: Json, how: Look) -> str:
    shut = [one for one in item["gates"] if one["state"] != "passes"]
    return ", ".join(str(one["gate"]) for one in shut) if item["state"] == "waiting" else ""


_COLUMNS = (
    Column("ID", plain("id"), right=True),
    Column("STATE", plain("state")),
    Column("IMAGE", plain("image")),
    Column("TAGS", plain("tags")),
    Column("WAY", way_of),
    Column("DIGEST", digest_of, 2),
    Column("ASKED", age("requested")),
    Column("BY", plain("by"), 1),
    Column("WAITS FOR", _gates, 1),
    Column("KIND", plain("kind"), 3),
)


@click.command()
@click.argument("number", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--image", metavar="NAME", help="Only those of this image.")
@click.option("--to", metavar="STAGE|REPOSITORY", help="Only those that go there.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, the newest.")
@talks
def promotions(
    talk: Talk, number: str | None, state: str | None, image: str | None, to: str | None, limit: int
) -> None:
    """List promotions, newest first, or show the one of this ID with its gates and approvals."""
    if number is not None:
        _show(talk, talk.client.get("promotions", number))
        return
    given = {"state": state or "", "image": image or "", "to": to or ""}
    empty = "No promotion fits." if any(given.values()) else "Nothing was promoted yet."
    talk.list(talk.client.pages("promotions", most=limit, **given), _COLUMNS, empty)


@click.command()
@click.argument("number", metavar="ID")
@click.option("--comment", metavar="TEXT", help="Kept in the record.")
@talks
def approve(talk: Talk, number: str, comment: str | None) -> None:
    """Approve the promotion of this ID. The last approval that was missing does it, if all other gates pass then.

    Who asked for it cannot approve it.
    """
    body: Json = {} if comment is None else {"comment": comment}
    _show(talk, talk.client.send("POST", "promotions", number, "approve", body=body))


@click.command()
@click.argument("number", metavar="ID")
@click.option("--reason", metavar="TEXT", help="Kept in the record.")
@talks
def reject(talk: Talk, number: str, reason: str | None) -> None:
    """Reject the promotion of this ID, which waits; who asked for it can take it back so too."""
    body: Json = {} if reason is None else {"reason": reason}
    _show(talk, talk.client.send("POST", "promotions", number, "reject", body=body))


def _show(talk: Talk, found: Json) -> None:
    if talk.as_json:
        talk.print_json(found)
        return
    print(head_of(found))
    for line in result_lines(found, talk.look):
        print(line)
