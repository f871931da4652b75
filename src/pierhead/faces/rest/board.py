"""The board of the release train, and how it looks in answers."""

from __future__ import annotations

from pierhead.actions.show_board import CursorUnknown, Wanted, show_board
from pierhead.domain import limits
from pierhead.domain.board import Cell, Gate, Moving, Row
from pierhead.domain.names import ImageName
from pierhead.domain.provenance import NO_FACTS, Seen
from pierhead.domain.refusals import NameInvalid, QueryInvalid
from pierhead.domain.running import Runs
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.shapes import Json, instant, page


async def board(call: Call) -> Json:
    """Services by stages."""
    plan = call.server.plan
    wanted = Wanted(_names(call), _stages(call), _flag(call, "differs"), _flag(call, "strays"))
    try:
        rows, following = await show_board(
            call.parts, plan, call.server.facts, call.who, wanted, call.cursor(), call.limit()
        )
    except CursorUnknown:
        raise QueryInvalid("cursor", "it is not what `next` of the page before said") from None
    stages = [{"stage": one.name, "repository": one.repository} for one in plan.stages]
    return {
        **page([_row(one) for one in rows], cursor_of(following)),
        "stages": [one for one in stages if not wanted.stages or one["stage"] in wanted.stages],
        "at": instant(call.parts.clock.now()),
    }


def _names(call: Call) -> tuple[str, ...]:
    """Services or images, with commas between them. Raises QueryInvalid."""
    names = _listed(call, "service")
    services = {one.name for one in call.server.plan.services}
    for name in names:
        if name not in services:
            try:
                ImageName.parse(name)
            except NameInvalid:
                raise QueryInvalid(
                    "service", "it holds names of services or images, with commas between them"
                ) from None
    return names


def _stages(call: Call) -> tuple[str, ...]:
    names = _listed(call, "stage")
    known = [one.name for one in call.server.plan.stages]
    for name in names:
        if name not in known:
            raise QueryInvalid("stage", f"the stages are {', '.join(known)}" if known else "there are no stages")
    return names


def _listed(call: Call, name: str) -> tuple[str, ...]:
    text = call.query.get(name, "")
    names = tuple(dict.fromkeys(one for one in text.split(",") if one))
    if len(names) > limits.BOARD_NAMES_MAX:
        raise QueryInvalid(name, f"it holds more than {limits.BOARD_NAMES_MAX} names")
    return names


def _flag(call: Call, name: str) -> bool:
    text = call.query.get(name, "false")
    if text not in ("true", "false"):
        raise QueryInvalid(name, "it is true or false")
    return text == "true"


def _row(row: Row) -> Json:
    return {
        "service": None if row.service is None else row.service.name,
        "image": row.image,
        "owner": None if row.service is None else row.service.owner or None,
        "differs": row.differs,
        "stages": [_cell(cell) for cell in row.cells],
        "strays": row.strays,
        "runs": [_runs(one) for one in row.runs],
    }


def _runs(one: Runs) -> Json:
    return {
        "cluster": one.cluster,
        "stage": one.stage,
        "namespace": one.namespace or None,
        "workload": one.workload or None,
        "count": one.count,
        "state": one.state.value,
        "tag": one.tag,
        "digest": one.digest,
        "reported": instant(one.reported),
        "stale": one.stale,
    }


def _cell(cell: Cell) -> Json:
    return {
        "stage": cell.stage,
        "repository": cell.repository,
        "gate": None if cell.gate is None else _gate(cell.gate),
        "holds": _holds(cell),
        "moving": [_moving(one) for one in cell.moving],
    }


def _gate(gate: Gate) -> Json:
    return {
        "state": gate.state.value,
        "newer": gate.newer,
        "promotion": gate.promotion,
        "approvals": gate.approvals or None,
    }


def _holds(cell: Cell) -> Json | None:
    holds = cell.holds
    if holds is None:
        return None
    facts = cell.facts or NO_FACTS
    return {
        "tag": holds.tag,
        "digest": holds.digest,
        "media_type": holds.media_type,
        "since": instant(holds.since),
        "by": holds.by,
        "through": seen(holds.seen),
        "pointed": cell.pointed,
        "commit": cell.built.commit or facts.revision or None,
        "branch": cell.built.ref or facts.ref or None,
        "witness": "login" if cell.built.commit else "label" if facts.revision else None,
        "built_by": seen(cell.built),
        "labels": {
            "revision": facts.revision or None,
            "source": facts.source or None,
            "version": facts.version or None,
            "ref_name": facts.ref or None,
            "created": facts.created or None,
        },
        "platforms": list(facts.platforms),
    }


def seen(found: Seen) -> Json | None:
    """What the server saw of a job's login; null for a login that says nothing of a job."""
    if not (found.job or found.pipeline or found.project or found.commit):
        return None
    return {
        "job": found.job or None,
        "pipeline": found.pipeline or None,
        "project": found.project or None,
        "commit": found.commit or None,
        "ref": found.ref or None,
        "user": found.user or None,
    }


def _moving(one: Moving) -> Json:
    return {"tag": one.tag, "digest": one.digest, "since": instant(one.since), "same_as": one.same_as}
