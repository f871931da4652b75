"""A cluster says what it runs: references become repositories and images, and its list is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from pierhead.commits.running import Found, Report, forget_cluster, report_running
from pierhead.domain.access import Principal
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.running import Hosts, Reported, read_reference
from pierhead.ports.metadata.running import ClusterRow, RunningRow
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import RepositoryId
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.proxy import Proxy
from pierhead.repositories.table import Table


class ReportAccepted(Struct, frozen=True):
    """``ours`` of the entries are images of this server. ``changed`` is False if the list says what the one before
    said."""

    cluster: ClusterRow
    ours: int
    changed: bool


async def accept_report(
    store: Store,
    table: Table,
    hosts: Hosts,
    who: Principal,
    cluster: str,
    stage: str,
    entries: Sequence[Reported],
    circumstances: Mapping[str, object],
    theirs: frozenset[str] | None,
) -> ReportAccepted:
    """``who`` was found to have the right to report for this stage; ``theirs`` are all those that they have it for,
    None for every one. Raises Denied for a cluster of another stage, Unavailable."""
    found = [_found(table, hosts, cluster, one) for one in entries]
    report = Report(cluster, stage, found, who.name, circumstances, theirs)
    row, changed = await store.write(partial(report_running, report=report))
    return ReportAccepted(row, sum(bool(one.row.image) for one in found), changed)


async def forget(
    store: Store, who: Principal, cluster: str, circumstances: Mapping[str, object], theirs: frozenset[str] | None
) -> None:
    """Raises ClusterUnknown, Denied, Unavailable."""
    told = partial(forget_cluster, cluster=cluster, account=who.name, circumstances=circumstances, theirs=theirs)
    await store.write(told)


def _found(table: Table, hosts: Hosts, cluster: str, one: Reported) -> Found:
    written = read_reference(one.reference)
    place = None if written is None else hosts.place(written, table.entries)
    digest = one.digest or (None if written is None else written.digest)
    tag = None if written is None else written.tag
    repository, image = place if place is not None else ("", "")
    row = RunningRow(
        0, cluster, one.reference, repository, image, tag, digest, one.namespace, one.workload, one.container, one.count
    )
    if place is None or digest is not None or tag is None:
        return Found(row)
    return Found(row, _asked(table, *place))


def _asked(table: Table, repository: RepositoryName, image: ImageName) -> tuple[tuple[RepositoryId, ImageName], ...]:
    """Every repository that could have answered, in its order; nobody is told which did."""
    asked: list[tuple[RepositoryId, ImageName]] = []
    for leaf in table.every_leaf(table.entry(repository)):
        name, kept = leaf.kept_as(image), leaf.entry.repository
        if name is not None and isinstance(kept, Hosted | Proxy):
            asked.append((kept.row_id, name))
    return tuple(asked)
