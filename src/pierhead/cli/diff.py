"""``pierhead diff`` and ``pierhead board diff``: what differs between two images."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import clean, human_size, short
from pierhead.cli.talk import Talk, named, talks

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--repository", help="Where; without it the first group, or what the names begin with.")
@click.option("--platform", default="", help="Which platform of an index, such as linux/arm64.")
@talks
def diff(talk: Talk, before: str, after: str, repository: str | None, platform: str) -> None:
    """Show what differs between BEFORE and AFTER, written [REPOSITORY/]IMAGE[:TAG|@DIGEST]."""
    sides = [str(named(talk, text, repository)) for text in (before, after)]
    more = {"platform": platform} if platform else {}
    print_diff(talk, talk.client.get("diff", **{"from": sides[0], "to": sides[1]}, **more))


def print_diff(talk: Talk, found: Json) -> None:
    """In the order in which a release manager asks: commits, packages, configuration, layers."""
    if talk.as_json:
        talk.print_json(found)
        return
    for name in ("from", "to"):
        print(f"{name:<6}{_named(talk, found[name])}")
    if found["equal"]:
        print("\nBoth are the same bytes.")
        return
    if not found["same_image"]:
        print("\nThese are two different images.")
    print()
    print(_sentence(found))
    parts = (_commits(found), _platforms(found), _packages(found), _config(found), _layers(talk, found))
    for title, lines in parts:
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))


def _named(talk: Talk, one: Json) -> str:
    tag = f":{one['tag']}" if one["tag"] else ""
    platform = f"  {one['platform']}" if one["platform"] else ""
    return f"{clean(one['repository'])}/{clean(one['image'])}{clean(tag)}  {short(one['digest'], talk.look)}{platform}"


def _sentence(found: Json) -> str:
    """`5.3 MB larger: 3 packages changed, 1 added; entrypoint equal`."""
    grown = found["size"]["to"] - found["size"]["from"]
    told = [f"{human_size(abs(grown))} {'larger' if grown > 0 else 'smaller'}" if grown else "the same size"]
    if found["packages"] is None:
        lacking = [clean(one["tag"] or "it") for one in (found["from"], found["to"]) if not one["sbom"]]
        told.append(f"no list of packages is attached to {' and '.join(lacking)}, so packages cannot be compared")
    else:
        told.append(_counted(found["packages"], "package"))
    if found["config"] is None:
        told.append("no configuration to compare")
    else:
        changed = sum(len(part) for part in found["config"].values())
        told.append(f"{changed} settings differ" if changed else "the same configuration")
    return "; ".join(told) + "."


def _counted(changes: Sequence[Json], noun: str) -> str:
    counts = {how: sum(one["change"] == how for one in changes) for how in ("changed", "added", "removed")}
    told = [f"{count} {how}" for how, count in counts.items() if count]
    return f"{noun}s: {', '.join(told)}" if told else f"the same {noun}s"


def _commits(found: Json) -> tuple[str, list[str]]:
    commits = found["commits"]
    if not commits["from"] or not commits["to"]:
        return "", []
    lines = [f"{clean(commits['from'])} -> {clean(commits['to'])}"]
    return "Commits", [*lines, clean(commits["compare"])] if commits["compare"] else lines


def _platforms(found: Json) -> tuple[str, list[str]]:
    changed = found["platforms"]
    return "Platforms", [
        *(f"+ {clean(one)}" for one in changed["added"]),
        *(f"- {clean(one)}" for one in changed["removed"]),
    ]


def _packages(found: Json) -> tuple[str, list[str]]:
    return "Packages", [
        f"{_SIGNS[one['change']]} {clean(one['name'])}  {_versions(one)}" for one in found["packages"] or ()
    ]


def _versions(one: Json) -> str:
    before, after = (", ".join(map(clean, one[key])) for key in ("from", "to"))
    return f"{before} -> {after}" if before and after else before or after


def _config(found: Json) -> tuple[str, list[str]]:
    config = found["config"] or {}
    lines = [_setting(one, "") for one in config.get("settings", ())]
    lines += [_setting(one, "env ") for one in config.get("env", ())]
    return "Configuration", [*lines, *(_setting(one, "label ") for one in config.get("labels", ()))]


def _setting(one: Json, kind: str) -> str:
    sign = _SIGNS[one["change"]]
    if one["masked"]:
        return f"{sign} {kind}{clean(one['name'])}  (looks secret: not shown)"
    values = [clean(value) for value in (one["from"], one["to"]) if value is not None]
    return f"{sign} {kind}{clean(one['name'])}  {' -> '.join(value or '(empty)' for value in values)}"


def _layers(talk: Talk, found: Json) -> tuple[str, list[str]]:
    layers = found["layers"]
    if layers is None:
        return "", []
    lines = [f"= {len(layers['shared'])} shared  {human_size(layers['shared_bytes'])}"] if layers["shared"] else []
    for key in ("removed", "added"):
        # The one that adds most is what people look for.
        for one in sorted(layers[key], key=lambda layer: -int(layer["size"])):
            step = f"  {clean(one['step'])[:100]}" if one["step"] else ""
            lines.append(f"{_SIGNS[key]} {short(one['digest'], talk.look)}  {human_size(one['size'])}{step}")
    return "Layers", lines
