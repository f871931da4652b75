"""``pierhead gc``: the space of what nothing refers to. It comes back by itself; this shows it, or does not wait."""

from __future__ import annotations

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import Column, clean, counted, digest, human_size, moment, plain, show, size
from pierhead.cli.talk import Talk, talks

_LARGEST = (
    Column("BLOB", digest("digest")),
    Column("SIZE", size("size"), right=True),
    Column("STATE", plain("state"), 1),
    Column("NEXT STEP", lambda item, how: moment(item["next_step"]), 2),
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go and how much.")
@talks
def gc(talk: Talk, dry_run: bool) -> None:
    """Free what nothing refers to and whose lease and quarantine are over; the server also does so by itself."""
    found = talk.client.get("gc") if dry_run else talk.client.post("gc")
    if talk.as_json:
        talk.print_json(found)
    elif dry_run:
        print(said(found))
        if found["largest"]:
            print()
            show(_LARGEST, found["largest"], talk.look, "")
    else:
        for step in found["steps"]:
            print(clean(step))
        if not found["steps"]:
            print("There is nothing to free now.")
        print(said(found["left"]))
    if not dry_run and found["outcome"] == "failed":
        raise Fault(f"It could not go on: {clean(found['reason'])}. It tries again by itself.")


def said(found: Json) -> str:
    """What would go, what leases keep, and what can still be brought back, in sentences."""
    text = f"Nothing refers to {counted(found['blobs'], 'blob')}, {human_size(found['bytes'])}"
    if going := found["condemned_blobs"]:
        way = "is on its way out" if going == 1 else "are on their way out"
        text += f"; {going} of them, {human_size(found['condemned_bytes'])}, {way}"
    text += "."
    if found["leased_blobs"]:
        until = moment(found["leased_until"])
        text += f" Leases keep {found['leased_blobs']} more, {human_size(found['leased_bytes'])}, until {until}."
    if found["deleted_manifests"]:
        kept = f"{counted(found['deleted_manifests'], 'deleted image')}, {human_size(found['deleted_bytes'])}"
        text += f" Kept to be brought back: {kept} (`pierhead tag deleted`, `tag purge`)."
    return text
