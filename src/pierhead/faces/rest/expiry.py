"""Expiry: what rules would take away and why, and a run now."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from pierhead.domain.names import Tag
from pierhead.domain.pull_days import DAY
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json
from pierhead.jobs.expire import LAST, Done, Plan, Planned, Pull

_BROKEN_MAX: Final = 1000
_A_RUN_MAX: Final = 10_000


async def preview(call: Call) -> Json:
    """A dry run: changes nothing."""
    call.need_operator("see what expires")
    made = await call.server.expiry.plan()
    last = await call.parts.store.report(lambda reports: reports.note(LAST))
    return {**planned(made, call.limit()), "last_run": _last(last)}


async def run(call: Call) -> Json:
    """Plans and carries out, up to a bound."""
    call.need_operator("run tasks")
    made, done = await call.server.expiry.run(_A_RUN_MAX)
    return {**planned(made, call.limit()), **_done(done)}


def planned(made: Plan, limit: int) -> Json:
    """The whole plan in numbers, and up to ``limit`` entries of each kind."""
    by_rule: dict[tuple[str, str], list[Planned]] = {}
    for one in made.going:
        by_rule.setdefault((one.removal.name, one.removal.words), []).append(one)
    return {
        "at": shapes.instant(made.at),
        "pulls_counted_since": shapes.instant(made.counted),
        "removals": len(made.going),
        "bytes": made.size,
        "guarded": len(made.guarded),
        "broken_pulls": sum(one.times for one in made.broken),
        "rules": [
            {"repository": name, "rule": rule, "removals": len(members), "bytes": sum(one.size for one in members)}
            for (name, rule), members in by_rule.items()
        ],
        "items": [_item(one, made.at) for one in made.going[:limit]],
        "guarded_items": [{**_item(one, made.at), "guarded": one.guarded} for one in made.guarded[:limit]],
        "broken": [_pull(one) for one in made.broken[:_BROKEN_MAX]],
    }


def _item(one: Planned, at: int) -> Json:
    removal = one.removal
    return {
        "repository": removal.name,
        "image": removal.image_name,
        "tag": removal.tag,
        "digest": removal.digest,
        "rule": removal.words,
        "why": one.why,
        "since": shapes.instant(one.since),
        "pulled": shapes.instant(one.pulled),
        "pulls_90_days": sum(one.days.values()),
        "bytes": one.size,
        "manifests": len(one.manifests),
        "stays": one.stays or None,
    }


def _pull(one: Pull) -> Json:
    return {
        "repository": one.repository,
        "image": one.image,
        "tag": one.reference if isinstance(one.reference, Tag) else None,
        "digest": None if isinstance(one.reference, Tag) else one.reference,
        "rule": one.rule,
        "day": datetime.fromtimestamp(one.day * DAY / 1_000_000, UTC).strftime("%Y-%m-%d"),
        "pulls": one.times,
    }


def _done(done: Done) -> Json:
    return {"removed": done.removed, "stayed": done.stayed, "left": done.left}


def _last(note: str | None) -> Json | None:
    if note is None:
        return None
    told = json.loads(note)
    return {"at": shapes.instant(told["at"]), "removed": told["removed"], "stayed": told["stayed"]}
