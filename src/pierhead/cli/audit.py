"""``pierhead audit``: who did what, when and from where; and whether the record of it is whole."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import Column, Look, age, clean, plain, short
from pierhead.cli.talk import Talk, talks

P = ParamSpec("P")
T = TypeVar("T")

_DATA = click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
_FORM = click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="Sentences for people, or JSON for programs.")  # fmt: skip


def _what(item: Json, how: Look) -> str:
    """The image as clients name it, or what an event without one is about."""
    place = "/".join(clean(item.get(key)) for key in ("repository", "image") if item.get(key))
    tags = ",".join(clean(tag) for tag in item.get("tags") or ())
    if place:
        return f"{place}:{tags}" if tags else place
    if item.get("changed"):
        return ", ".join(clean(key) for key in item["changed"])
    return clean(item.get("subject") or item.get("reason") or item.get("message"))


def _before(item: Json, how: Look) -> str:
    found = item.get("before") or {}
    return ",".join(dict.fromkeys(short(digest, how) for digest in found.values()))


_COLUMNS = (
    Column("SEQ", plain("seq"), 5, right=True),
    Column("AT", age("at")),
    Column("KIND", plain("kind")),
    Column("ACCOUNT", plain("account")),
    Column("WHAT", _what),
    Column("BEFORE", _before, 3),
    Column("DIGEST", lambda item, how: short(item.get("digest"), how), 2),
    Column("TIMES", plain("times"), 4, right=True),
    Column("FROM", plain("address"), 1),
    Column("REQUEST", plain("request_id"), 6),
)


def _alone(command: Callable[P, None]) -> Callable[P, None]:
    """Not called where a command of the group is."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if click.get_current_context().invoked_subcommand is None:
            command(*args, **kwargs)

    return run


@click.group(invoke_without_command=True)
@click.option("--account", metavar="NAME", help="Only what this account did.")
@click.option("--repository", metavar="NAME", help="Only what concerns this repository.")
@click.option("--image", metavar="NAME", help="Only what concerns this image.")
@click.option("--kind", metavar="KIND", help="Only events of this kind, such as push or login-failed.")
@click.option("--since", metavar="T", help="From then on: 2026-03-03T12:00:00Z, or a time ago: 90s, 2h, 7d.")
@click.option("--until", metavar="T", help="Before then.")
@click.option("--limit", type=click.IntRange(1), help="How many events, the newest.  [default: 50]")
@click.option("--follow", is_flag=True, help="What happens from now on, or since T, as JSON lines, until interrupted.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="With --follow: go on behind this event.")
@_alone
@talks
def audit(talk: Talk, /, limit: int | None, follow: bool, after: int | None, **filters: str | None) -> None:
    """Who did what, when and from where, newest first. The role `auditor` or `admin` is needed.

    With a command of its own: is the record whole, and where does it stand.
    """
    wanted = {name: value for name, value in filters.items() if value}
    if "kind" in wanted:
        wanted["kind"] = wanted["kind"].replace("-", " ")
    if follow:
        from pierhead.cli.follow import follow_events

        if limit is not None or "until" in wanted:
            raise click.UsageError("--follow has no end: leave out --limit and --until.")
        follow_events(talk.client, wanted, after)
        return
    if after is not None:
        raise click.UsageError("--after goes with --follow.")
    found = talk.client.pages("audit", most=limit or 50, **wanted)
    talk.list(found, _COLUMNS, "No event fits.")


@audit.command()
@_DATA
@click.option("--head", "given", multiple=True, metavar="SEQ:HASH", help="A head that was noted before; repeatable.")
@click.option("--heads", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="A file with heads in it, such as the server's log.")  # fmt: skip
@_FORM
def verify(data: Path, given: tuple[str, ...], file: Path | None, form: str) -> None:
    """Check the record from its first event to its last, with the server running or not.

    Ends with 1 if an event was altered, taken out or put in. A record that was cut off at its end, or made anew
    from an event on, shows only against a head that was noted elsewhere: the server writes them to its log.
    """
    from pierhead.boot.audit import NoDataFolder, heads_in
    from pierhead.boot.audit import verify as verify_record

    try:
        heads = [_only(text, heads_in(text)) for text in given]
        if file is not None:
            heads += heads_in(file.read_text("utf-8", "replace"))
        found = verify_record(data, heads, _progress())
    except NoDataFolder as fault:
        _end(str(fault))
    except OSError as error:
        _end(f"{error.filename or data} cannot be read: {error.strerror or error}.")
    held_heads = sum(head.seq >= found.first for head in heads)
    removed = None if found.cut is None or found.first == 1 else found.cut.seq
    if form == "json":
        problems = [{"seq": one.seq, "what": one.what, "says": one.says} for one in found.problems]
        document = {"whole": not found.wrong, "events": found.rows, "first": found.first, "removed_up_to": removed,
                    "head": str(found.head), "heads_held": held_heads, "problems": found.wrong,
                    "items": problems}  # fmt: skip
        print(json.dumps(document))
    else:
        for one in found.problems:
            print(f"{one.what}: {one.says}")
        if found.wrong > len(found.problems):
            print(f"… and {found.wrong - len(found.problems)} more.")
        if not found.wrong:
            held = f", and {held_heads} heads stand in it" if heads else ""
            print(f"The record is whole: {found.rows} events{held}. Its head:  {found.head}")
            if removed is not None:
                print(f"Its first event is {found.first}; those up to {removed} were taken out, as `audit.keep` says.")
    if found.wrong:
        _end("The record is not whole: trust no event behind the first one that is named. Compare it with a backup.")


@audit.command()
@_DATA
@_FORM
def head(data: Path, form: str) -> None:
    """Print where the record stands, as SEQ:HASH: to be noted elsewhere, and given to `audit verify --head` later."""
    from pierhead.boot.audit import NoDataFolder
    from pierhead.boot.audit import head as head_of

    try:
        found = head_of(data)
    except NoDataFolder as fault:
        _end(str(fault))
    print(json.dumps({"seq": found.seq, "hash": found.hash.hex()}) if form == "json" else found)


def _only(text: str, found: Sequence[T]) -> T:
    if len(found) != 1:
        raise click.UsageError(f"`{text}` is no head: it looks like 1204:9f86d081…, with 64 digits behind the colon.")
    return found[0]


def _progress() -> Callable[[int, int], None]:
    """One line that rewrites itself, on a terminal only."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def tell(done: int, total: int) -> None:
        end = "\r\033[K" if done >= total else ""
        print(f"\rverify  {done} of {total} events{end}", end="", file=sys.stderr, flush=True)

    return tell


def _end(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(1)
