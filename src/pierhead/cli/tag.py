"""``pierhead tag``: what a tag stood for, back to an earlier digest, back from deletion."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, timedelta

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import Column, Look, age, clean, digest, moment, plain, short, size
from pierhead.cli.talk import Named, Talk, named, talks

_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]+")
_REPOSITORY = click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
_EXACT = click.option("--repository", help="Where; without it REFERENCE has to begin with it.")
_LIMIT = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")


def _through(item: Json, how: Look) -> str:
    """The job if the server saw one, else how the account had signed in."""
    found = item.get("through") or {}
    told = found.get("job") or found.get("project_path") or found.get("how")
    began = item.get("how")
    return clean(told if began in (None, "push") else f"{began}, {told}" if told else began)


_HISTORY = (
    Column("FROM", lambda item, how: moment(item["since"])),
    Column("TO", lambda item, how: moment(item["until"]) or "now"),
    Column("DIGEST", digest("digest")),
    Column("BY", plain("by"), 1),
    Column("THROUGH", _through, 3),
    Column(
        "COMMIT", lambda item, how: clean((item.get("through") or {}).get("commit"))[: 8 if how.terminal else None], 4
    ),
    Column("ENDED BY", plain("ended_by"), 5),
    Column("IN", plain("member"), 2),
)
_DELETED = (
    Column("IMAGE", plain("image")),
    Column("TAG", plain("tag")),
    Column("DIGEST", digest("digest")),
    Column("SIZE", size("size"), 3, right=True),
    Column("DELETED", age("deleted")),
    Column("BY", plain("by"), 2),
    Column("HOW", lambda item, how: clean(item["rule"] or item["how"]), 4),
    Column("NOW", lambda item, how: short(item["now"], how), 5),
    Column("UNTIL", lambda item, how: moment(item["until"]), 1),
)


@click.group()
def tag() -> None:
    """What a tag stood for, and undo: rollback, restore."""


@tag.command()
@click.argument("reference")
@_REPOSITORY
@_LIMIT
@click.option("--on", metavar="DATE", help="Only what it stood for on this day (UTC), such as 2026-03-03.")
@talks
def history(talk: Talk, reference: str, repository: str | None, limit: int, on: str | None) -> None:
    """Show what REFERENCE, written [REPOSITORY/]IMAGE:TAG, stood for, newest first: who, through what."""
    day = None if on is None else _day(on)
    where = _tag(named(talk, reference, repository))
    found = talk.client.items(*where.target, "history", limit=str(1000 if day else limit))
    shown = found if day is None else [one for one in found if _stood(one, day)]
    talk.list(shown[:limit], _HISTORY, f"{where} stood for nothing on {on}.")
    if day is not None and shown and not talk.as_json:
        print(_on_that_day(where, day, shown, found[0], talk.look))


@tag.command()
@click.argument("reference")
@_EXACT
@click.option("--to", metavar="DIGEST", help="A digest that the tag stood for; its first 8 digits will do.")
@click.option("--steps", type=click.IntRange(1, 1000), help="How many changes back.  [default: 1]")
@talks
def rollback(talk: Talk, reference: str, repository: str | None, to: str | None, steps: int | None) -> None:
    """Put REFERENCE, written [REPOSITORY/]IMAGE:TAG, back to what it stood for before. If it moves meanwhile, nothing
    is done. A tag that is written once stays where it is."""
    if to is not None and steps is not None:
        raise Fault("Say --to or --steps, not both.")
    where = _tag(named(talk, reference, repository, exact=True))
    past = talk.client.items(*where.target, "history", limit="1000")
    if past and past[0]["until"] is not None:
        raise Fault(f"{where} is deleted. Bring it back: pierhead tag restore {where}")
    body: Json = {"seen": past[0]["digest"]} if past else {}
    if to is not None:
        body["to"] = _whole(to, past, where)
    elif steps is not None:
        body["steps"] = steps
    done = talk.client.send("POST", *where.target, "rollback", body=body)
    if talk.as_json:
        talk.print_json(done)
    elif done["changed"]:
        print(f"{where} points at {done['digest']} again; before at {done['before']}.")
    else:
        print(f"{where} points at {done['digest']} already.")


@tag.command()
@click.argument("reference")
@click.argument("at", metavar="[@DIGEST]", required=False)
@_EXACT
@talks
def restore(talk: Talk, reference: str, at: str | None, repository: str | None) -> None:
    """Bring a deleted tag back: REFERENCE is [REPOSITORY/]IMAGE:TAG; with @DIGEST at one that it stood for before. Or a
    deleted image with its tags: [REPOSITORY/]IMAGE@DIGEST. `pierhead tag deleted` lists what there is."""
    before, _, behind = reference.partition("@")
    if behind and ":" in before.rpartition("/")[2]:
        reference, at = before, at or behind
    where = named(talk, reference, repository, exact=True)
    if not where.reference:
        raise Fault(f"Say which tag or digest of {where.image}, as in {where.image}:1.0.0.")
    body: Json = {} if at is None else {"digest": at.lstrip("@")}
    done = talk.client.send("POST", *where.target, "restore", body=body)
    if talk.as_json:
        talk.print_json(done)
    elif not done["changed"]:
        print(f"{where} is there already.")
    else:
        tags = "" if done["tag"] or not done["tags"] else f" with {', '.join(map(clean, done['tags']))}"
        print(f"{where} is there again{tags}" + (f": {done['digest']}." if done["tag"] else "."))


@tag.command()
@click.argument("place", metavar="REPOSITORY[/IMAGE]")
@click.option("--limit", type=click.IntRange(1), help="How many at most; all without it.")
@talks
def deleted(talk: Talk, place: str, limit: int | None) -> None:
    """List what was deleted or overwritten and can be brought back, the latest first."""
    repository, _, image = place.partition("/")
    path = (
        ("repositories", repository, "images", image, "-", "deleted")
        if image
        else ("repositories", repository, "deleted")
    )
    talk.list(talk.client.pages(*path, most=limit), _DELETED, f"Nothing of {place} was deleted lately.")


@tag.command()
@click.argument("reference")
@_EXACT
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@talks
def purge(talk: Talk, reference: str, repository: str | None, yes: bool) -> None:
    """Give up a deleted image, written [REPOSITORY/]IMAGE@DIGEST, for good: its space need not wait.

    It cannot be undone."""
    where = named(talk, reference, repository, exact=True)
    if ":" not in where.reference:
        raise Fault(
            f"Say which digest of {where.image}, as `pierhead tag deleted {where.repository}/{where.image}` lists it."
        )
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(f"Purge {where}; this cannot be undone", abort=True, err=True)
    done = talk.client.delete(*where.path, "deleted", where.reference)
    if talk.as_json:
        talk.print_json(done)
    else:
        print(f"{where} is purged. Its space comes back by itself, soon.")


def _tag(where: Named) -> Named:
    if not where.reference or ":" in where.reference:
        raise Fault(f"Say which tag, as in {where.image}:1.0.0.")
    return where


def _whole(said: str, past: list[Json], where: Named) -> str:
    """A digest of the history by its first digits. Raises Fault."""
    if _DIGEST.fullmatch(said) and len(said) >= 71:
        return said
    digits = said.partition(":")[2] or said
    found = {str(one["digest"]) for one in past if str(one["digest"]).partition(":")[2].startswith(digits)}
    if len(digits) >= 8 and len(found) == 1:
        return found.pop()
    which = "stood for no digest" if not found else "stood for several digests"
    raise Fault(f"{where} {which} that begins with {clean(digits)} (8 digits at least): pierhead tag history {where}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Fault(f"`{clean(text)}` is no day: write it as 2026-03-03.") from error


def _stood(item: Json, day: date) -> bool:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    since = datetime.fromisoformat(item["since"])
    until = item["until"]
    return since < begin + timedelta(days=1) and (until is None or datetime.fromisoformat(until) > begin)


def _on_that_day(where: Named, day: date, shown: list[Json], now: Json, how: Look) -> str:
    when = f"{day.day} {day:%B %Y}"
    stood = ", then ".join(short(one["digest"], how) for one in reversed(shown))
    stands = "It is deleted now." if now["until"] is not None else f"Now: {short(now['digest'], how)}."
    return f"On {when} `{where.reference}` was {stood}. {stands}"
