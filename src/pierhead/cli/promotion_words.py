"""Promotions, their gates and their plans as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pierhead.cli.client import Json
from pierhead.cli.tables import Look, clean, counted, moment, short

_SIGNS = {"passes": "ok", "refuses": "x", "waits": "(..)"}


def end_of(end: Json) -> str:
    """A stage by its name, a repository by its own."""
    return clean(end["stage"] or end["repository"])


def head_of(found: Json) -> str:
    """``orchestrator/server 1.4.1: uat -> prod  done``."""
    return f"{_what(found)}: {_way(found)}  {clean(found['state'])}"


def _what(found: Json) -> str:
    tags = ", ".join(clean(tag) for tag in found["tags"])
    return f"{clean(found['image'])} {tags or clean(found['digest'])}"


def _way(found: Json) -> str:
    if found["kind"] == "back":
        return f"{end_of(found['to'])} goes back"
    return f"{end_of(found['from'])} -> {end_of(found['to'])}"


def gate_lines(gates: Iterable[Json]) -> Iterator[str]:
    """One line a gate, and one that says how it is opened."""
    for gate in gates:
        sign = _SIGNS.get(str(gate["state"]), "")
        yield f"  {sign:<5}{clean(gate['name']):<44}  {clean(gate['evidence'])}".rstrip()
        if gate["opens"]:
            yield f"       {clean(gate['opens'])}"


def result_lines(found: Json, how: Look) -> Iterator[str]:
    """What one promotion is."""
    yield f"  promotion  {found['id']}, asked by {clean(found['by'])} on {moment(found['requested'])}"
    yield f"  digest     {clean(found['digest'])}"
    if found["before"] and found["before"] != found["digest"]:
        yield f"  before     {clean(found['before'])}"
    yield f"  with it    {_counts(found['counts'] or {})}"
    if found["comment"]:
        yield f"  comment    {clean(found['comment'])}"
    for vote in found["approvals"]:
        verb = "approved" if vote["approved"] else "rejected"
        said = f": {clean(vote['comment'])}" if vote["comment"] else ""
        yield f"  {verb}   {clean(vote['account'])} on {moment(vote['at'])}{said}"
    if found["expires"]:
        yield f"  expires    {moment(found['expires'])}"
    yield from gate_lines(found["gates"])


def plan_lines(found: Json, how: Look) -> Iterator[str]:
    """What a promotion would do."""
    plan = found["plan"]
    after = plan["current"]["after_tag"]
    tags = ", ".join(clean(one["name"]) for one in plan["tags"]) or clean(after)
    way = (
        f"{end_of(plan['to'])} goes back"
        if plan["kind"] == "back"
        else f"{end_of(plan['from'])} -> {end_of(plan['to'])}"
    )
    yield f"{clean(plan['image'])} {tags or clean(plan['digest'])}: {way}    nothing is changed by this command"
    if found["same_as"] is not None:
        return
    now = plan["current"]["now"]
    before = f"{clean(now['tag'])} {_eight(now['digest'])}".strip() if now else "-"
    if plan["current"]["after"]:
        yield f"  current   {before}  ->  {clean(after)} {_eight(plan['current']['after'])}"
    for tag in plan["tags"]:
        once = "  written once" if plan["written_once"] else ""
        yield f"  {clean(tag['name'])}  {_eight(tag['now']) or '-'}  ->  {_eight(tag['after'])}{once}"
    yield f"  with it   {_counts(plan['counts'])}; 0 B to copy"
    yield from gate_lines(found["gates"])


def _counts(counts: Json) -> str:
    return ", ".join(counted(counts.get(f"{one}s", 0), one) for one in ("platform", "referrer"))


def _eight(digest: object) -> str:
    return clean(digest).partition(":")[2][:8]


def way_of(item: Json, how: Look) -> str:
    """For a column."""
    return _way(item)


def digest_of(item: Json, how: Look) -> str:
    """For a column."""
    return short(item.get("digest"), how)
