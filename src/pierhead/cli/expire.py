"""``pierhead expire``: what rules of the configuration take away. The server does so by itself; this shows
it, with its reasons, or does not wait."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.tables import Column, Look, age, clean, digest, human_size, look, moment, plain, show, size
from pierhead.cli.talk import Talk, talks

_ITEMS_MAX = 1000

_RULES = (
    Column("RULE", lambda item, how: f"{clean(item['repository'])}: {clean(item['rule'])}"),
    Column("GO", plain("removals"), right=True),
    Column("FREES", size("bytes"), right=True),
)
_GOING = (
    Column("IMAGE", plain("image")),
    Column("TAG", plain("tag")),
    Column("DIGEST", digest("digest"), 2),
    Column("SET", age("since"), 4),
    Column("LAST PULL", age("pulled"), 1),
    Column("PULLS 90 D", plain("pulls_90_days"), 3, right=True),
    Column("FREES", size("bytes"), right=True),
    Column("RULE", plain("rule"), 0),
    Column("WHY", lambda item, how: clean((item["stays"] and f"manifest stays: {item['stays']}") or item["why"]), 5),
    Column("IN", plain("repository"), 6),
)
_GUARDED = (
    Column("IMAGE", plain("image")),
    Column("TAG", plain("tag")),
    Column("DIGEST", digest("digest")),
    Column("STAYS BECAUSE", plain("guarded")),
    Column("RULE", plain("rule"), 1),
)
_BROKEN = (
    Column("IMAGE", plain("image")),
    Column("TAG", plain("tag")),
    Column("DIGEST", digest("digest"), 1),
    Column("DAY", plain("day")),
    Column("PULLS", plain("pulls"), right=True),
    Column("RULE", plain("rule")),
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go, by which rule, and what it frees.")
@click.option("--data", type=click.Path(path_type=Path), help="With --dry-run and --config: a data folder, read only.")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration whose rules are tried on --data.")
@talks
def expire(talk: Talk, dry_run: bool, data: Path | None, config: Path | None) -> None:
    """Take away what the rules under `expiry` take away; the server also does so by itself. What goes can be brought
    back for a while (`pierhead tag deleted`)."""
    if data is not None or config is not None:
        found = _on_folder(data, config, dry_run)
    else:
        limit = str(_ITEMS_MAX)
        found = talk.client.get("expiry", limit=limit) if dry_run else talk.client.post("expiry")
    if talk.as_json:
        talk.print_json(found)
        return
    how = talk.look if data is None else look(talk.color, None)
    if dry_run:
        print(_said(found))
        _tables(found, how)
    else:
        print(_done(found))


def _on_folder(data: Path | None, config: Path | None, dry_run: bool) -> Json:
    """Raises Fault. A fault of the configuration ends with 2, as at a start."""
    if data is None or config is None or not dry_run:
        raise Fault("A data folder is only looked at: pierhead expire --dry-run --data DIR --config FILE.")
    from pierhead.boot.config_faults import ConfigFaults
    from pierhead.boot.expiring import dry_run as look_at
    from pierhead.boot.reset import NoDataFolder

    try:
        return look_at(data, config, _ITEMS_MAX)
    except ConfigFaults as faults:
        print(*faults.lines, sep="\n", file=sys.stderr)
        sys.exit(2)
    except NoDataFolder as fault:
        raise Fault(str(fault)) from fault


def _said(found: Json) -> str:
    if not found["rules"]:
        text = "By the rules of the configuration nothing goes now."
    else:
        text = (
            f"By these rules {_go(found['removals'])}, which frees {human_size(found['bytes'])}. Nothing was changed."
        )
    if found["guarded"]:
        text += f" In use, and so kept although a rule says otherwise: {found['guarded']}."
    if found["pulls_counted_since"] is None:
        text += " Pulls have not been counted yet: the server does."
    else:
        text += f" Pulls are counted since {moment(found['pulls_counted_since'])}."
    return text


def _go(many: int) -> str:
    return "1 goes" if many == 1 else f"{many} go"


def _tables(found: Json, how: Look) -> None:
    for title, columns, key in (("", _RULES, "rules"), ("", _GOING, "items"), ("", _GUARDED, "guarded_items")):
        if found[key]:
            print(title)
            show(columns, found[key], how, "")
    if len(found["items"]) < found["removals"]:
        print(f"and {found['removals'] - len(found['items'])} more.")
    if found["broken"]:
        print(f"\nIn force for the last 90 days, the rules would have broken {found['broken_pulls']} pulls:")
        show(_BROKEN, found["broken"], how, "")
    else:
        print("\nIn force for the last 90 days, the rules would have broken no pull that was counted.")


def _done(found: Json) -> str:
    text = f"{found['removed']} removed, which frees {human_size(found['bytes'])} when they are not kept any more."
    if found["stayed"]:
        text += f" {found['stayed']} stay after all: they were used or moved meanwhile."
    if found["left"]:
        text += f" {found['left']} are left for the next run."
    return text
