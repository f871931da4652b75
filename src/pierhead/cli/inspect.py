"""``pierhead inspect``: one image, whole."""

from __future__ import annotations

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import Column, Look, clean, digest, human_size, moment, plain, short, show, size
from pierhead.cli.talk import Talk, named, talks

_PLATFORMS = (
    Column("PLATFORM", plain("platform")),
    Column("DIGEST", digest("digest")),
    Column("SIZE", size("size"), right=True),
    Column("KEPT", lambda item, how: "yes" if item["kept"] else "no", 1),
)
_LAYERS = (
    Column("LAYER", digest("digest")),
    Column("SIZE", size("size"), right=True),
    Column("TYPE", plain("media_type"), 1),
)
_REFERRERS = (
    Column("REFERRER", digest("digest")),
    Column("KIND", plain("artifact_type")),
    Column("SIZE", size("size"), 1, right=True),
)


@click.command()
@click.argument("reference")
@click.option("--repository", help="Where; without it the first group, or what REFERENCE begins with.")
@talks
def inspect(talk: Talk, reference: str, repository: str | None) -> None:
    """Show all that is known of REFERENCE, written [REPOSITORY/]IMAGE[:TAG|@DIGEST]; `latest` without a tag."""
    where = named(talk, reference, repository)
    target = where.target if where.reference else (*where.path, "tags", "latest")
    found = talk.client.get(*target)
    if talk.as_json:
        talk.print_json(found)
        return
    how = talk.look
    for title, text in _facts(found, how):
        if text:
            print(f"{title:<12}{text}")
    if found["kind"] == "index":
        _part(_PLATFORMS, found["platforms"], how)
    _part(_LAYERS, found["layers"], how)
    _part(_REFERRERS, found["referrers"], how)


def _part(columns: tuple[Column, ...], items: list[Json], how: Look) -> None:
    if items:
        print()
        show(columns, items, how, "")


def _facts(found: Json, how: Look) -> list[tuple[str, str]]:
    config = found["config"] or {}
    command = [*(config.get("entrypoint") or ()), *(config.get("cmd") or ())]
    platforms = "" if found["kind"] == "index" else ", ".join(clean(one["platform"]) for one in found["platforms"])
    tag = f":{found['tag']}" if found["tag"] else ""
    facts = [
        ("image", clean(f"{found['image']}{tag}")),
        ("in", clean(found["member"])),
        ("digest", clean(found["digest"])),
        ("kind", clean(found["artifact_type"] or found["kind"])),
        ("size", human_size(found["size"])),
        ("pushed", f"{moment(found['since'])} by {clean(found['by'])}" if found["since"] else ""),
        ("tags", ", ".join(map(clean, found["tags"]))),
        ("platform", platforms),
        ("created", clean(config.get("created"))),
        ("runs", " ".join(map(clean, command))),
        ("user", clean(config.get("user"))),
        ("refers to", short(found["subject"], how)),
    ]
    facts += [("label", f"{clean(key)}={clean(value)}") for key, value in (config.get("labels") or {}).items()]
    facts += [("note", f"{clean(key)}={clean(value)}") for key, value in found["annotations"].items()]
    return facts
