"""What clusters run, as far as an account may pull it; what is not from here, for operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from pierhead.domain.access import Principal, Right
from pierhead.domain.board import BoardPlan
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.running import ClusterRow, RunningRow
from pierhead.ports.metadata.store import Store
from pierhead.repositories.table import Table

After = tuple[str, int]


class RunningEntry(Struct, frozen=True):
    """``stages`` are those that hold the bytes, among those that the account may see."""

    row: RunningRow
    cluster: ClusterRow
    stages: tuple[str, ...]


async def list_running(
    store: Store,
    table: Table,
    plan: BoardPlan,
    who: Principal,
    cluster: str | None,
    image: str | None,
    after: After,
    limit: int,
) -> tuple[Sequence[RunningEntry], After | None]:
    """Up to ``limit`` entries behind ``after``, by cluster, and what the next page is behind. Raises TimeoutError."""
    found: list[RunningEntry] = []
    while True:
        asked = partial(_page, cluster=cluster, image=image, after=after, limit=limit + 1)
        entries, last = await store.report(partial(asked, table=table, plan=plan, who=who))
        for one in entries:
            if len(found) == limit:
                return found, (found[-1].row.cluster, found[-1].row.id)
            found.append(one)
        if last is None:
            return found, None
        after = last


def _page(
    reports: Reports,
    *,
    table: Table,
    plan: BoardPlan,
    who: Principal,
    cluster: str | None,
    image: str | None,
    after: After,
    limit: int,
) -> tuple[list[RunningEntry], After | None]:
    rows = reports.running.page(cluster, image, after, limit)
    clusters = {one.cluster: one for one in reports.running.clusters()}
    entries = [
        RunningEntry(row, clusters[row.cluster], _stages(reports, plan, who, row))
        for row in rows
        if _shown(table, who, row)
    ]
    last = rows[-1] if len(rows) == limit else None
    return entries, None if last is None else (last.cluster, last.id)


def _shown(table: Table, who: Principal, row: RunningRow) -> bool:
    entry = table.entries.get(RepositoryName(row.repository)) if row.repository else None
    if entry is None:
        return who.holds(Right.OPERATE)
    return bool(table.keeping(entry, who, ImageName(row.image)))


def _stages(reports: Reports, plan: BoardPlan, who: Principal, row: RunningRow) -> tuple[str, ...]:
    if row.digest is None or not row.image:
        return ()
    name = ImageName(row.image)
    return tuple(
        stage.name
        for stage in plan.stages
        if who.may(Right.PULL, stage.repository, name) and reports.running.known_as(stage.repository, name, row.digest)
    )
