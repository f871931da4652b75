"""``pierhead records``: what promotions left with an image, and the keys that verify it."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from pierhead.cli.carry.place import open_place
from pierhead.cli.carry.records import Record, records_of
from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import Column, Look, clean, digest, moment, plain, show
from pierhead.cli.talk import Talk, talks
from pierhead.domain.signatures import Verify


def _told(item: Json) -> Json:
    found = item["record"]
    return found if isinstance(found, dict) else {}


def _end(found: object) -> str:
    return clean(found.get("stage") or found.get("repository")) if isinstance(found, dict) else ""


def _way(item: Json, how: Look) -> str:
    told = _told(item)
    return f"{_end(told.get('from'))} -> {_end(told.get('to'))}"


def _people(item: Json, how: Look) -> str:
    found = _told(item).get("approvals")
    return ", ".join(clean(one.get("by")) for one in found if isinstance(one, dict)) if isinstance(found, list) else ""


def _done(item: Json, how: Look) -> str:
    try:
        return moment(_told(item).get("done"))
    except ValueError:
        return ""


_COLUMNS = (
    Column("RECORD", lambda item, how: "good" if item["good"] else "does not count"),
    Column("PROMOTION", lambda item, how: clean(_told(item).get("promotion")), right=True),
    Column("WAY", _way),
    Column("DONE", _done),
    Column("BY", lambda item, how: clean(_told(item).get("by"))),
    Column("APPROVED BY", _people, 1),
    Column("WHY", lambda item, how: clean(item["why"]), 1),
    Column("IN", digest("manifest"), 2),
)
_KEYS = (
    Column("KEY", plain("id")),
    Column("SINCE", lambda item, how: moment(item["created"])),
    Column("SIGNS", lambda item, how: "yes" if item["signs"] else "no"),
    Column("ALGORITHM", plain("algorithm"), 1),
)


@click.group()
def records() -> None:
    """Check the signed records that promotions leave with an image."""


@records.command()
@click.option("--pem", is_flag=True, help="Print the keys themselves, for a file.")
@talks
def keys(talk: Talk, pem: bool) -> None:
    """List the public keys with which this installation's records are verified, newest first."""
    if not pem:
        talk.list(talk.client.items("record-keys"), _KEYS, "There is no key.")
        return
    for one in talk.client.items("record-keys"):
        print(f"# {one['id']}, since {one['created']}\n{one['public_key']}", end="")


@records.command()
@click.argument("reference")
@click.option("--key", "key_files", multiple=True, metavar="FILE", help="A file of public keys (PEM); repeatable.")
@click.option("--archive", is_flag=True, help="REFERENCE is a file that `pierhead export` wrote: nobody is asked.")
@click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
@talks
def verify(talk: Talk, reference: str, key_files: tuple[str, ...], archive: bool, repository: str | None) -> None:
    """Check the records of REFERENCE, [REPOSITORY/]IMAGE[:TAG|@DIGEST]; ends with 1 if none is good.

    Without --key, the keys are those that the server tells, which is as good as one's trust in the server. With --key
    and --archive nobody is asked at all.
    """
    check = _checking(talk, key_files, archive)
    with ExitStack() as stack:
        place = open_place(talk, reference, repository, stack, archive=archive)
        found = records_of(place.source, place.cargo, place.digest, check)
    items = [_item(one) for one in found]
    if talk.as_json:
        talk.print_json({"image": place.shown, "digest": place.digest, "items": items, "next": None})
    elif items:
        show(_COLUMNS, items, talk.look, "")
    good = sum(1 for one in found if one.wrong is None)
    if not good:
        why = "; ".join(dict.fromkeys(one.wrong for one in found if one.wrong)) or "no promotion left one"
        raise Fault(f"{place.shown} ({place.digest}) has no record that counts: {why}.")
    print(f"{place.shown}: {good} of {len(found)} records are good: {place.digest}", file=sys.stderr)


def _checking(talk: Talk, key_files: tuple[str, ...], archive: bool) -> Verify:
    from pierhead.boot.public_keys import keys_of, read_keys

    if key_files:
        files = read_keys(key_files)
        if not files.keys:
            raise Fault(f"No key can be used: {'; '.join(files.faults)}.")
        return files.verifies
    if archive:
        raise Fault(
            "Say with --key which keys count: a file is not asked for them. `pierhead records keys --pem` prints them."
        )
    return keys_of([str(one["public_key"]) for one in talk.client.items("record-keys")]).verifies


def _item(one: Record) -> Json:
    return {"good": one.wrong is None, "manifest": one.manifest, "why": one.wrong, "record": one.told}
