"""``pierhead board``: what stands in each stage of each service, and what is newer in the stage before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import click

from pierhead.cli.client import Json
from pierhead.cli.nouns import Noun
from pierhead.cli.tables import Column, Look, ago, clean, short, show
from pierhead.cli.talk import Talk, talks

Text = Callable[[Json, Look], str]

_SIGNS = {"equal": "=", "first": "->first", "older": "<-", "gone": "?", "nothing": ""}
_LEGEND = {
    "=": "the same bytes",
    "->": "newer images wait in the stage before",
    "<-": "older than the stage before",
    "?": "not in the stage before any more",
    "(": "waits for approvals: `pierhead promotions`",
}


@click.group(cls=Noun)
def board() -> None:
    """What stands in each stage of each service."""


@board.command("list")
@click.option("--service", "services", multiple=True, help="Only this service or image; several times for several.")
@click.option("--stage", "stages", multiple=True, help="Only this stage; several times for several.")
@click.option("--differs", is_flag=True, help="Only where the stages do not all hold the same.")
@click.option("--strays", is_flag=True, help="Only where something runs that its stage does not hold now.")
@click.option("--limit", type=click.IntRange(1), help="How many rows at most.")
@talks
def list_board(
    talk: Talk, services: tuple[str, ...], stages: tuple[str, ...], differs: bool, strays: bool, limit: int | None
) -> None:
    """Show the board: a row for each service, a column for each stage; between them, what is newer in the left one."""
    query = {"service": ",".join(services), "stage": ",".join(stages)}
    query |= {"differs": "true" if differs else "", "strays": "true" if strays else ""}
    found = talk.client.pages("board", most=limit, **query)
    if talk.as_json:
        talk.list(found, (), "")
        return
    rows = list(found)
    nothing = "No image stands in a stage yet, or none that you may pull."
    if services or stages or differs or strays:
        nothing = "Nothing on the board is so. `pierhead board` alone shows all of it."
    show(list(columns(rows)), rows, talk.look, nothing)
    if talk.look.terminal:
        _remark(rows)


@board.command("diff")
@click.argument("service")
@click.option("--from", "before", required=True, metavar="STAGE", help="The stage that is compared.")
@click.option("--to", "after", required=True, metavar="STAGE", help="The stage that it is compared with.")
@click.option("--platform", default="", help="Which platform of an index, such as linux/arm64.")
@talks
def diff_stages(talk: Talk, service: str, before: str, after: str, platform: str) -> None:
    """Show what differs between what two stages of SERVICE hold now."""
    from pierhead.cli.diff import print_diff

    more = {"platform": platform} if platform else {}
    print_diff(talk, talk.client.get("board", "diff", service=service, **{"from": before, "to": after}, **more))


def columns(rows: Sequence[Json]) -> Iterator[Column]:
    """For the stages that stand in ``rows``: tag and age, with the gate before it; what is narrower comes last."""
    names: dict[str, bool] = {}
    for row in rows:
        for stage in row["stages"]:
            names[stage["stage"]] = names.get(stage["stage"], False) or stage["gate"] is not None
    yield Column("SERVICE", lambda item, how: clean(item["service"]) or f"({clean(item['image'])})")
    for name, gated in names.items():
        if gated:
            yield Column("", _cell(name, lambda stage, how: sign(stage) or (" " if how.terminal else "")))
        yield Column(name.upper(), _held(name, _tag))
        yield Column("AGE", _held(name, lambda held, how: ago(held["since"], how)), 1)
    if any(row["runs"] for row in rows):
        yield Column("RUNS", runs)
    for name in names:
        title = name.upper()
        yield Column(f"{title} COMMIT", _held(name, _commit), 3)
        yield Column(f"{title} BY", _held(name, _who), 4)
        yield Column(f"{title} DIGEST", _held(name, lambda held, how: short(held["digest"], how)), 5)
        yield Column(f"{title} BRANCH", _held(name, lambda held, how: clean(held["branch"])), 6)
    yield Column("MOVING", lambda item, how: moving(item), 2)


def sign(stage: Json) -> str:
    """What stands between a stage and the one before it."""
    gate = stage["gate"]
    if gate is None:
        return ""
    if gate["state"] == "waits":
        count = clean(gate["approvals"]).replace(" of ", "/")
        return f"({count or '..'}) #{gate['promotion']}"
    if gate["state"] == "newer":
        return f"->{gate['newer']}" if gate["newer"] < 100 else "->99+"
    return _SIGNS.get(gate["state"], clean(gate["state"]))


def runs(item: Json, how: Look) -> str:
    """``ok 12/12`` for the last stage that clusters run; ``! 2 of 9 on 0.30.4``, and that of other stages where
    something is to be said of them."""
    stages = list(dict.fromkeys(one["stage"] for one in item["stages"]))
    told = [
        (stage, _runs_of([one for one in item["runs"] if one["stage"] == stage], stage, how))
        for stage in stages
        if any(one["stage"] == stage for one in item["runs"])
    ]
    if not told:
        return ""
    last = told[-1][0]
    return ", ".join(
        text if stage == last else f"{clean(stage)} {text}"
        for stage, text in reversed(told)
        if stage == last or not text.startswith("ok ")
    )


def _runs_of(found: Sequence[Json], stage: str, how: Look) -> str:
    fresh = [one for one in found if not one["stale"]]
    if not fresh:
        return f"silent {ago(max(one['reported'] for one in found), how)}"
    whole = sum(one["count"] for one in fresh)
    strays: dict[str, int] = {}
    for one in fresh:
        if one["state"] != "current":
            strays[_stray(one, stage)] = strays.get(_stray(one, stage), 0) + one["count"]
    if not strays:
        return f"ok {whole}/{whole}"
    return "! " + ", ".join(f"{count} of {whole} on {name}" for name, count in strays.items())


def _stray(one: Json, stage: str) -> str:
    name = clean(one["tag"]) or clean(one["digest"])[7:15] or "an unknown digest"
    if one["state"] == "absent":
        return f"{name}, not in {clean(stage)}"
    return f"{name}, digest unknown" if one["state"] == "unknown" else name


def moving(item: Json) -> str:
    """``dev latest = main-a1b2c3d``: where tags that move point, and what else that is called."""
    return ", ".join(
        f"{clean(stage['stage'])} {clean(one['tag'])} = {clean(one['same_as']) or one['digest'][:15]}"
        for stage in item["stages"]
        for one in stage["moving"]
    )


def _cell(name: str, text: Text) -> Text:
    """A column's text, of the stage ``name``; empty where a row does not have that stage."""

    def of_stage(item: Json, how: Look) -> str:
        stage = next((one for one in item["stages"] if one["stage"] == name), None)
        return "" if stage is None else text(stage, how)

    return of_stage


def _held(name: str, text: Text) -> Text:
    """The same of what the stage holds."""
    return _cell(name, lambda stage, how: text(stage["holds"], how) if stage["holds"] else "")


def _tag(held: Json, how: Look) -> str:
    return clean(held["tag"]) or clean(held["digest"])[7:15]


def _who(held: Json, how: Look) -> str:
    """The job if there is one, else the account."""
    job = clean((held["through"] or {}).get("job"))
    return f"job {job.rpartition('/')[2]}" if job else clean(held["by"])


def _commit(held: Json, how: Look) -> str:
    """Seven digits on a terminal; a `*` where only a label says it."""
    if not held["commit"]:
        return ""
    commit = clean(held["commit"])
    return (commit[:7] if how.terminal else commit) + ("" if held["witness"] == "login" else "*")


def _remark(rows: Iterable[Json]) -> None:
    signs = {sign(stage) for row in rows for stage in row["stages"]}
    told = [f"{mark} {says}" for mark, says in _LEGEND.items() if any(one.startswith(mark) for one in signs)]
    if told:
        print("; ".join(told), file=sys.stderr)
