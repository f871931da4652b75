"""The house itself: status, repositories, storage, upstreams, and the space of what nothing refers to."""

from __future__ import annotations

from typing import Final

from pierhead.actions.measure_storage import Storage
from pierhead.faces.rest import shapes
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.jobs.reclaim import preview
from pierhead.ports.metadata.values import RepositoryRow
from pierhead.repositories.proxy import Proxy
from pierhead.repositories.table import Entry

_STEPS_MAX: Final = 20


async def status(call: Call) -> Json:
    """Everybody sees whether it works and where it is; operators see storage, upstreams and warnings as well."""
    server = call.server
    why = server.why_not_ready()
    now = call.parts.clock.now()
    return {
        "version": server.version,
        "ready": why is None,
        "reason": why,
        "started": shapes.instant(server.started),
        "uptime_seconds": max(0, now - server.started) // 1_000_000,
        "account": call.who.name,
        "ports": [
            {
                "repository": port.repository,
                "kind": None if port.repository is None else call.table.entry(port.repository).kind,
                "listen": port.listen,
                "external": port.external,
            }
            for port in server.listening()
            if port.repository is None or port.repository in call.table.entries
        ],
        "storage": await _storage(call) if call.operates else None,
        "upstreams": await _upstreams(call) if call.operates else None,
        "warnings": list(server.warnings) if call.operates else None,
    }


async def repositories(call: Call) -> Json:
    """Those that the account may read."""
    rows = await call.parts.store.report(lambda reports: reports.repositories())
    sizes = await _sizes(call)
    seen = [entry for entry in call.table.entries.values() if call.reads(entry)]
    return shapes.page([_repository(call, entry, rows.get(entry.name), sizes) for entry in seen])


async def repository(call: Call) -> Json:
    """One of them."""
    entry = call.entry()
    rows = await call.parts.store.report(lambda reports: reports.repositories())
    return _repository(call, entry, rows.get(entry.name), await _sizes(call))


async def storage(call: Call) -> Json:
    """Counts, sizes by repository, and the room that is left."""
    call.need_operator("see storage")
    found = await call.storage.read()
    entries = call.table.entries
    listed = [
        {"name": name, "images": images, "bytes": size, "configured": name in entries}
        for name, (images, size) in (found.sizes or {}).items()
        if name not in entries or entries[name].kind != "group"
    ]
    return {**shapes.storage(found), "by_repository": None if found.sizes is None else listed}


async def upstreams(call: Call) -> Json:
    """What proxies kept, and how the registries behind them do."""
    call.need_operator("see upstreams")
    return shapes.page(await _upstreams(call))


async def gc_preview(call: Call) -> Json:
    """What nothing refers to and how much it is. Changes nothing."""
    call.need_operator("see storage")
    return await _reclaimable(call)


async def gc_run(call: Call) -> Json:
    """Steps of reclaim now, as many as there is work for, up to a bound; leases and quarantine hold as ever."""
    call.need_operator("run tasks")
    done: list[str] = []
    outcome: Outcome = Idle()
    for _ in range(_STEPS_MAX):
        outcome = await call.server.reclaim()
        if isinstance(outcome, Worked):
            done.append(outcome.what)
        if not isinstance(outcome, Worked) or not outcome.more:
            break
    failed = outcome.why if isinstance(outcome, Failed) else None
    return {
        "outcome": "failed" if failed else "worked" if done else "idle",
        "steps": done,
        "reason": failed,
        "more": isinstance(outcome, Worked) and outcome.more,
        "left": await _reclaimable(call),
    }


async def _reclaimable(call: Call) -> Json:
    manifests, size = await call.parts.store.report(lambda reports: reports.expiry.kept_deleted())
    found = shapes.reclaimable(await preview(call.parts.store, call.parts.clock))
    return {**found, "deleted_manifests": manifests, "deleted_bytes": size}


async def _storage(call: Call) -> Json | None:
    found = await _measured(call)
    return None if found is None else shapes.storage(found)


async def _sizes(call: Call) -> dict[str, tuple[int, int]]:
    found = await _measured(call)
    return {} if found is None or found.sizes is None else {str(name): size for name, size in found.sizes.items()}


async def _measured(call: Call) -> Storage | None:
    """None where counting takes too long: a list is not refused for that."""
    try:
        return await call.storage.read()
    except TimeoutError:
        return None


async def _upstreams(call: Call) -> list[Json]:
    found = {one.name: one for one in await call.server.proxies()}
    return [
        shapes.upstream(found.get(entry.name) or proxy.status(), proxy.upstream.name, proxy.upstream.host)
        for entry in call.table.entries.values()
        if isinstance(proxy := entry.repository, Proxy)
    ]


def _repository(call: Call, entry: Entry, row: RepositoryRow | None, sizes: dict[str, tuple[int, int]]) -> Json:
    repository = entry.repository
    images, size = sizes.get(str(entry.name), (None, None))
    return {
        "name": entry.name,
        "kind": entry.kind,
        "write_policy": row.write_policy.value if row is not None and entry.kind == "hosted" else None,
        "written_once": [text for rule in (row.once if row is not None else ()) for text in rule.tags.texts],
        "stage": entry.stage or None,
        "external": entry.external,
        "path": f"{call.table.main}/{entry.name}",
        "members": list(entry.members) if entry.kind == "group" else None,
        "writable": entry.writable,
        "upstream": repository.upstream.host if isinstance(repository, Proxy) else None,
        "images": None if entry.kind == "group" else images,
        "bytes": None if entry.kind == "group" else size,
    }
