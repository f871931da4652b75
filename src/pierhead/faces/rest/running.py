"""What clusters run: their reports come in, and are listed."""

from __future__ import annotations

import asyncio
from typing import Final

from pierhead.actions.list_running import After, RunningEntry, list_running
from pierhead.actions.report_running import accept_report, forget
from pierhead.domain import limits
from pierhead.domain.access import Right
from pierhead.domain.refusals import Denied, QueryInvalid
from pierhead.domain.refusals_accounts import BodyInvalid
from pierhead.domain.running import CLUSTER_GRAMMAR, Hosts, is_cluster_name, not_theirs
from pierhead.faces.rest.bodies import content_of
from pierhead.faces.rest.call import Call, cursor_of
from pierhead.faces.rest.running_bodies import read_report
from pierhead.faces.rest.shapes import Json, instant, page
from pierhead.ports.metadata.running import ClusterRow

_ID: Final = 18


async def report(call: Call) -> Json:
    """Replaces the cluster's list."""
    _need_reporter(call, "report what runs")
    content = await content_of(call.ask, limits.RUNNING_BODY_BYTES_MAX)
    cluster, stage, entries = await asyncio.to_thread(read_report, content)
    cluster = _said("cluster", cluster, call.query.get("cluster"))
    stage = _said("stage", stage, call.query.get("stage"))
    if not cluster or not is_cluster_name(cluster):
        raise BodyInvalid("cluster", f"has to be the cluster's name, here or as `?cluster=`: {CLUSTER_GRAMMAR}")
    known = [one.name for one in call.server.plan.stages]
    if stage and stage not in known:
        raise BodyInvalid("stage", f"is none of the stages: {', '.join(known)}")
    theirs = _theirs(call)
    if theirs is not None and (stage or "") not in theirs:
        raise Denied(call.who.name, "report what runs in", cluster, not_theirs(stage or "", theirs))
    told = call.circumstances()
    hosts = Hosts(call.server.hosts())
    done = await accept_report(
        call.parts.store, call.table, hosts, call.who, cluster, stage or "", entries, told, theirs
    )
    return {**_cluster(call, done.cluster), "ours": done.ours, "changed": done.changed}


async def running(call: Call) -> Json:
    """Entries of every cluster's list."""
    found, following = await list_running(
        call.parts.store,
        call.table,
        call.server.plan,
        call.who,
        call.query.get("cluster"),
        call.query.get("image"),
        _after(call),
        call.limit(),
    )
    last = None if following is None else f"{following[1]}:{following[0]}"
    return page([_entry(call, one) for one in found], cursor_of(last))


async def clusters(call: Call) -> Json:
    """Who reports, and when they did last."""
    if not call.operates:
        _need_reporter(call, "see which clusters report")
    found = await call.parts.store.report(lambda reports: reports.running.clusters())
    return page([_cluster(call, one) for one in found])


async def forget_cluster(call: Call) -> Json:
    """For a cluster that is no more."""
    _need_reporter(call, "forget a cluster")
    await forget(call.parts.store, call.who, call.values["cluster"], call.circumstances(), _theirs(call))
    return {"forgotten": call.values["cluster"]}


def _need_reporter(call: Call, what: str) -> None:
    if not call.who.holds(Right.REPORT_RUNNING):
        raise Denied(call.who.name, what, "here", "That needs the role `reporter` or `admin`.")


def _theirs(call: Call) -> frozenset[str] | None:
    """Stages whose clusters the account may report for, "" for the last one among them; None for every one."""
    stages = call.server.plan.stages
    found = [one.name for one in stages if call.who.may_somewhere(Right.REPORT_RUNNING, one.repository)]
    if len(found) == len(stages):
        return None
    return frozenset(found if found[-1:] != [stages[-1].name] else [*found, ""])


def _said(key: str, body: str | None, query: str | None) -> str | None:
    if body is not None and query is not None and body != query:
        raise BodyInvalid(key, f"is another one than `?{key}=` says")
    return body if body is not None else query


def _after(call: Call) -> After:
    text = call.cursor()
    if not text:
        return "", 0
    number, colon, cluster = text.partition(":")
    if not colon or not number.isascii() or not number.isdigit() or len(number) > _ID:
        raise QueryInvalid("cursor", "it is not what `next` of the page before said")
    return cluster, int(number)


def _stale(call: Call, one: ClusterRow) -> bool:
    return call.parts.clock.now() - one.reported > call.server.plan.stale_seconds * 1_000_000


def _cluster(call: Call, one: ClusterRow) -> Json:
    return {
        "cluster": one.cluster,
        "stage": one.stage or None,
        "reported": instant(one.reported),
        "stale": _stale(call, one),
        "by": one.account,
        "entries": one.entries,
    }


def _entry(call: Call, one: RunningEntry) -> Json:
    row = one.row
    return {
        "cluster": row.cluster,
        "namespace": row.namespace or None,
        "workload": row.workload or None,
        "container": row.container or None,
        "count": row.count,
        "reference": row.reference,
        "repository": row.repository or None,
        "image": row.image or None,
        "tag": row.tag,
        "digest": row.digest,
        "stages": list(one.stages),
        "reported": instant(one.cluster.reported),
        "stale": _stale(call, one.cluster),
    }
