"""The board: services by stages. What an account may not pull does not stand on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain import board, limits
from pierhead.domain.access import Principal, Right
from pierhead.domain.board import BoardPlan, BoardStage, Cell, Gate, GateState, Row, Standing
from pierhead.domain.build_cache import by_name
from pierhead.domain.catalogue import Service
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.provenance import Seen
from pierhead.domain.running import Runs, RunState, run_state
from pierhead.ports.metadata.promotions import WAITING, PointerRow, PromotionRow
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.running import ClusterRow
from pierhead.repositories.facts import FactsShelf, Whereabouts
from pierhead.repositories.parts import Parts

_SERVICE: Final = "service:"
_IMAGE: Final = "image:"
_Head = tuple[str, Service | None, ImageName]
"""What the page after it is behind, the service, None for an image that belongs to none, and the image."""
Waiting = Mapping[tuple[RepositoryName, ImageName], PromotionRow]


class _Asked(TypedDict):
    promotion: int
    approvals: str


class Wanted(Struct, frozen=True):
    """``names`` are services or images, none for all; ``stages`` likewise. With ``differs`` rows are left out whose
    stages all hold the same, with ``strays`` those of which nothing runs but what its stage holds."""

    names: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    differs: bool = False
    strays: bool = False


class CursorUnknown(Exception):
    """No page ever ended so."""


async def show_board(
    parts: Parts, plan: BoardPlan, facts: FactsShelf, who: Principal, wanted: Wanted, after: str, limit: int
) -> tuple[Sequence[Row], str | None]:
    """Up to ``limit`` rows behind ``after``: services in the catalogue's order, then the images that belong to none, by
    name; and what the next page is behind, None for the last. What the account does not see shortens no page.

    Raises TimeoutError, CursorUnknown.
    """
    rows: list[tuple[str, Row]] = []
    while True:
        batch, last = await parts.store.report(
            partial(_batch, plan=plan, who=who, wanted=wanted, after=after, limit=limit, now=parts.clock.now())
        )
        for mark, row in batch:
            if len(rows) == limit:
                return await _with_facts(parts, facts, wanted, [one for _, one in rows]), rows[-1][0]
            rows.append((mark, row))
        if last is None:
            return await _with_facts(parts, facts, wanted, [one for _, one in rows]), None
        after = last


def _batch(
    reports: Reports, plan: BoardPlan, who: Principal, wanted: Wanted, after: str, limit: int, now: int
) -> tuple[list[tuple[str, Row]], str | None]:
    """Rows behind ``after`` with their cursors, and where to go on, None if that is all."""
    heads = _heads(reports, plan, wanted, after, limit + 1)
    rows: list[tuple[str, Row]] = []
    clusters, waiting = _clusters(reports, plan), _waiting(reports)
    for mark, service, image in heads:
        row = _row(reports, plan, who, service, image, waiting)
        if row is None:
            continue
        if clusters:
            row = replace(row, runs=_runs(reports, plan, clusters, row, now))
        if (row.differs or not wanted.differs) and (row.strays or not wanted.strays):
            rows.append((mark, row))
    return rows, heads[-1][0] if len(heads) > limit else None


def _heads(reports: Reports, plan: BoardPlan, wanted: Wanted, after: str, limit: int) -> list[_Head]:
    if wanted.names:
        named = list(_named(plan, wanted.names))
        marks = [mark for mark, _, _ in named]
        if after and after not in marks:
            raise CursorUnknown
        return named[marks.index(after) + 1 if after else 0 :][:limit]
    heads: list[_Head] = [(f"{_SERVICE}{one.name}", one, one.image) for one in plan.services]
    if after.startswith(_SERVICE):
        marks = [mark for mark, _, _ in heads]
        # A service that has left the catalogue since the page before: what is behind it is not known any more.
        heads = heads[marks.index(after) + 1 :] if after in marks else []
        after = ""
    elif after.startswith(_IMAGE):
        heads, after = [], after.removeprefix(_IMAGE)
    elif after:
        raise CursorUnknown
    heads = heads[:limit]
    known = {one.image for one in plan.services}
    while len(heads) < limit:
        names = reports.board.images([stage.repository for stage in plan.stages], after, limit)
        heads += [(f"{_IMAGE}{name}", None, name) for name in names if name not in known]
        if len(names) < limit:
            break
        after = names[-1]
    return heads[:limit]


def _named(plan: BoardPlan, names: Collection[str]) -> Iterator[_Head]:
    """Services by their names, or images by theirs."""
    services = {one.name: one for one in plan.services}
    images = {str(one.image): one for one in plan.services}
    for name in names:
        one = services.get(name) or images.get(name)
        yield (f"{_IMAGE}{name}", None, ImageName(name)) if one is None else (f"{_SERVICE}{one.name}", one, one.image)


def _waiting(reports: Reports) -> Waiting:
    """Promotions that wait for approvals, of each image in each repository that which was asked for last."""
    rows = reports.promotions(None, limits.BOARD_WAITING_MAX, state=WAITING)
    return {(row.target_repository, row.image): row for row in reversed(rows)}


def _row(
    reports: Reports, plan: BoardPlan, who: Principal, service: Service | None, image: ImageName, waiting: Waiting
) -> Row | None:
    """None if the account may pull the image from no stage, or if an image of no service stands nowhere."""
    cells: list[Cell] = []
    before: tuple[BoardStage, Cell] | None = None
    for stage in plan.stages:
        if not who.may(Right.PULL, stage.repository, image):
            before = None
            continue
        cell = _cell(reports, plan, image, stage, before)
        asked = waiting.get((stage.repository, image))
        if asked is not None and cell.gate is not None:
            cell = replace(cell, gate=replace(cell.gate, state=GateState.WAITS, **_asked(asked)))
        before = stage, cell
        cells.append(cell)
    if not cells or (service is None and not any(cell.holds or cell.moving for cell in cells)):
        return None
    return Row(service, image, cells)


def _asked(row: PromotionRow) -> _Asked:
    """The first words of what the gate of approvals saw; who gave them is told where the promotion is shown."""
    gates = row.told.get("gates")
    found = [one for one in gates if isinstance(one, dict)] if isinstance(gates, list) else []
    evidence = next((str(one.get("evidence", "")) for one in found if one.get("gate") == "approvals"), "")
    return {"promotion": row.id, "approvals": evidence.partition(" (")[0]}


def _cell(
    reports: Reports, plan: BoardPlan, image: ImageName, stage: BoardStage, before: tuple[BoardStage, Cell] | None
) -> Cell:
    rules = plan.rules
    found = [
        one
        for one in reports.board.candidates(stage.repository, image, rules, limits.BOARD_TAGS_LOOKED_AT)
        if one.tag is None or by_name(image, one.tag) is None
    ]
    holds, left, pointed = board.newest(found), None, False
    if plan.staged and stage != plan.stages[0]:
        held = reports.held(stage.repository, [image]).get(image)
        told = None if held is None else _pointed(reports, stage, image, held.current, found)
        if held is not None and told is not None:
            holds, pointed = told, True
            left = None if held.previous is None else held.previous.digest
        elif held is None and reports.pointers(stage.repository, image, 1):
            holds = None  # somebody said that nothing stands here any more
    pointing = reports.board.pointing(stage.repository, image, rules.moving)
    moving = board.moving_tags(pointing, found, holds)
    cell = Cell(stage.name, stage.repository, holds, moving=moving, pointed=pointed)
    if before is not None and plan.staged:
        gate, built = _from_before(reports, plan, image, before, holds, left)
        return replace(cell, gate=gate, built=built)
    if holds is None:
        return cell
    arrival = reports.board.arrival(stage.repository, image, rules, holds.digest)
    return replace(cell, built=holds.seen if arrival is None or not arrival.seen.job else arrival.seen)


def _from_before(
    reports: Reports,
    plan: BoardPlan,
    image: ImageName,
    before: tuple[BoardStage, Cell],
    holds: Standing | None,
    left: Digest | None,
) -> tuple[Gate, Seen]:
    """How what is held relates to the stage before, and the job that built it, which is known where it came first."""
    stage, cell = before
    there = cell.holds
    if holds is None:
        return board.gate(there, None, None, 0), Seen()
    if there is not None and there.digest == holds.digest:
        return board.gate(there, holds, None, 0), cell.built
    arrival = reports.board.arrival(stage.repository, image, plan.rules, holds.digest)
    if arrival is None:
        return board.gate(there, holds, None, 0), holds.seen
    newer = reports.board.newer(stage.repository, image, plan.rules, arrival.at, board.NEWER_MAX)
    return board.gate(there, holds, arrival.at, newer, left), arrival.seen


def _pointed(
    reports: Reports, stage: BoardStage, image: ImageName, pointer: PointerRow, found: Sequence[Standing]
) -> Standing | None:
    """What a promotion put there, by the tag that it was promoted under as long as that is there; None if the bytes
    were deleted since."""
    same = [one for one in found if one.digest == pointer.digest]
    known = next((one for one in same if one.tag == pointer.tag), board.newest(same))
    if known is not None:
        return replace(known, since=pointer.since, by=pointer.account)
    stored = reports.manifest(stage.repository, image, pointer.digest)
    if stored is None:
        return None
    tags = reports.tags_of(stage.repository, image, pointer.digest, limits.BOARD_TAGS_LOOKED_AT)
    tag = Tag(pointer.tag) if pointer.tag in tags else next(iter(tags), None)
    return Standing(tag, pointer.digest, stored.media_type, pointer.since, pointer.account)


def _clusters(reports: Reports, plan: BoardPlan) -> Mapping[str, tuple[ClusterRow, str]]:
    """Clusters that report, each with the stage that it runs for: the last one, unless it says another."""
    if not plan.stages:
        return {}
    known = {stage.name for stage in plan.stages}
    last = plan.stages[-1].name
    return {one.cluster: (one, one.stage if one.stage in known else last) for one in reports.running.clusters()}


def _runs(
    reports: Reports, plan: BoardPlan, clusters: Mapping[str, tuple[ClusterRow, str]], row: Row, now: int
) -> Sequence[Runs]:
    """Of clusters whose stage the account may see."""
    cells = {cell.stage: cell for cell in row.cells}
    found: list[Runs] = []
    for one in reports.running.of_image(row.image, limits.RUNNING_SHOWN_MAX):
        cluster, stage = clusters[one.cluster]
        cell = cells.get(stage)
        if cell is None:
            continue
        image, holds = row.image, cell.holds
        known: Sequence[Digest] = ()
        if one.digest is not None:
            known = reports.running.known_as(cell.repository, image, one.digest)
        state = run_state(one.digest, known, None if holds is None else holds.digest)
        tag = holds.tag if holds is not None and state is RunState.CURRENT else _called(reports, cell, image, known)
        stale = now - cluster.reported > plan.stale_seconds * 1_000_000
        place = (one.cluster, stage, one.namespace, one.workload, one.count)
        found.append(Runs(*place, tag or one.tag, one.digest, state, cluster.reported, stale))
    return found


def _called(reports: Reports, cell: Cell, image: ImageName, known: Sequence[Digest]) -> Tag | None:
    """A tag of these bytes in the stage."""
    for digest in known:
        if tags := reports.tags_of(cell.repository, image, digest, 1):
            return tags[0]
    return None


async def _with_facts(parts: Parts, facts: FactsShelf, wanted: Wanted, rows: Sequence[Row]) -> Sequence[Row]:
    at = [
        Whereabouts(cell.repository, row.image, cell.holds.digest)
        for row in rows
        for cell in row.cells
        if cell.holds is not None
    ]
    known = await facts.read(parts, at)
    return [
        replace(
            row,
            cells=[
                replace(cell, facts=None if cell.holds is None else known.get(cell.holds.digest))
                for cell in row.cells
                if not wanted.stages or cell.stage in wanted.stages
            ],
            runs=[one for one in row.runs if not wanted.stages or one.stage in wanted.stages],
        )
        for row in rows
    ]
