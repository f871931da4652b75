"""A cluster's list of what it runs: replaced whole, told when it says something else than before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.commits.audit import record
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import Denied
from pierhead.domain.refusals_running import ClusterUnknown
from pierhead.domain.running import not_theirs
from pierhead.ports.metadata.running import ClusterRow, RunningRow
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import RepositoryId

_TOLD_MAX: Final = 50


class Found(Struct, frozen=True):
    """A row; for one whose digest nobody told, the images in which its tag is looked up, in the order of asking."""

    row: RunningRow
    asked: tuple[tuple[RepositoryId, ImageName], ...] = ()


class Report(Struct, frozen=True):
    """``stage`` is "" for the last one. ``theirs`` are the stages that the account may report for, None for all."""

    cluster: str
    stage: str
    found: Sequence[Found]
    account: str
    circumstances: Mapping[str, object]
    theirs: frozenset[str] | None = None


def report_running(tx: Tx, report: Report) -> tuple[ClusterRow, bool]:
    """The cluster as it is known now, and whether its list changed. A list that says the same as before only counts as
    newer: a cluster says it every few minutes, and the record is kept for ever.

    Raises Denied if the cluster runs for a stage that the account may not report for.
    """
    rows = [one.row if not one.asked else replace(one.row, digest=_resolved(tx, one)) for one in report.found]
    before = tx.running.find(report.cluster)
    _need_theirs(before, report.account, report.theirs)
    had = tx.running.rows(report.cluster)
    changed = before is None or before.stage != report.stage or _said(had) != _said(rows)
    cluster = ClusterRow(report.cluster, report.stage, tx.now, report.account, len(rows))
    tx.running.replace(cluster, rows if changed else None)
    if changed:
        images, those = _images(rows), _images(had)
        what: dict[str, object] = {
            "cluster": report.cluster,
            "stage": report.stage or None,
            "entries": len(rows),
            "added": sorted(images - those)[:_TOLD_MAX],
            "removed": sorted(those - images)[:_TOLD_MAX],
        }
        record(tx, "running", report.account, what, report.circumstances)
    return cluster, changed


def forget_cluster(
    tx: Tx, cluster: str, account: str, circumstances: Mapping[str, object], theirs: frozenset[str] | None = None
) -> None:
    """Raises ClusterUnknown; Denied as a report does."""
    _need_theirs(tx.running.find(cluster), account, theirs)
    had = _images(tx.running.rows(cluster))
    if not tx.running.forget(cluster):
        raise ClusterUnknown(cluster)
    what: dict[str, object] = {"cluster": cluster, "entries": 0, "removed": sorted(had)[:_TOLD_MAX], "forgotten": True}
    record(tx, "running", account, what, circumstances)


def _need_theirs(cluster: ClusterRow | None, account: str, theirs: frozenset[str] | None) -> None:
    if cluster is not None and theirs is not None and cluster.stage not in theirs:
        raise Denied(account, "report what runs in", cluster.cluster, not_theirs(cluster.stage, theirs))


def _resolved(tx: Tx, found: Found) -> Digest | None:
    """What the tag stands for now, in the first image that has it: nobody knows better what was pulled."""
    if found.row.tag is None:
        return None
    for repository, name in found.asked:
        image = tx.images.find(repository, name)
        if image is not None and (digest := tx.tags.pointing(image, [found.row.tag]).get(found.row.tag)) is not None:
            return digest
    return None


def _said(rows: Collection[RunningRow]) -> list[RunningRow]:
    return [replace(row, id=0) for row in rows]


def _images(rows: Collection[RunningRow]) -> set[str]:
    """Only ours, with their digests: what else a cluster runs is none of the record's business."""
    return {f"{row.repository}/{row.image}{_behind(row)}" for row in rows if row.image}


def _behind(row: RunningRow) -> str:
    return f"@{row.digest}" if row.digest is not None else f":{row.tag}" if row.tag is not None else ""
