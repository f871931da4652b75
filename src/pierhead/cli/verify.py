"""``pierhead verify``: whether an image is signed with a key."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from pierhead.cli.carry.place import open_place
from pierhead.cli.carry.signatures import Judged, judge
from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import Column, clean, digest, plain, show
from pierhead.cli.talk import Talk, talks
from pierhead.domain.signatures import clause

_COLUMNS = (
    Column("SIGNATURE", lambda item, how: "good" if item["good"] else "does not count"),
    Column("IN", digest("manifest")),
    Column("WHY", lambda item, how: clean(item["why"])),
    Column("FORM", plain("form"), 1),
)


@click.command()
@click.argument("reference")
@click.option("--key", "keys", multiple=True, required=True, metavar="FILE", help="A public key (PEM); repeatable.")
@click.option("--archive", is_flag=True, help="REFERENCE is a file that `pierhead export` wrote: nobody is asked.")
@click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
@talks
def verify(talk: Talk, reference: str, keys: tuple[str, ...], archive: bool, repository: str | None) -> None:
    """Check that REFERENCE, [REPOSITORY/]IMAGE[:TAG|@DIGEST], is signed with one of the keys; ends with 1 if it is not.

    Looks at what cosign and skopeo attach: under the tag sha256-….sig, as referrers, and as Sigstore bundles. The
    signatures are fetched and checked here. A key is trusted as it is; no log and no certificate is asked about.
    """
    from pierhead.boot.public_keys import read_keys

    files = read_keys(keys)
    if not files.keys:
        raise Fault(f"No key can be used: {'; '.join(files.faults)}.")
    with ExitStack() as stack:
        place = open_place(talk, reference, repository, stack, archive=archive)
        found = judge(place.source, place.cargo, place.digest, files.verifies)
    good = any(one.wrong is None for one in found)
    if talk.as_json:
        shown: Json = {"image": place.shown, "digest": place.digest, "signed": good}
        talk.print_json({**shown, "signatures": [_item(one) for one in found]})
    elif found:
        show(_COLUMNS, [_item(one) for one in found], talk.look, "")
    if not good:
        why = clause([one.wrong for one in found if one.wrong is not None], files.faults)
        raise Fault(f"{place.shown} ({place.digest}) is not signed with the key of {', '.join(keys)}: {why}.")
    print(f"{place.shown} is signed: {place.digest}", file=sys.stderr)


def _item(one: Judged) -> Json:
    return {"good": one.wrong is None, "manifest": one.manifest, "form": one.form, "why": one.wrong}
