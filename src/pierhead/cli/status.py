"""``pierhead status``: whether the server works, where it is, what it holds, how its upstreams do."""

from __future__ import annotations

import click

from pierhead.cli.client import Json
from pierhead.cli.tables import Column, Look, clean, counted, duration, human_size, moment, plain, show, size
from pierhead.cli.talk import Talk, talks

_PORTS = (
    Column("LISTEN", plain("listen")),
    Column("REACHED AT", plain("external")),
    Column("REPOSITORY", lambda item, how: clean(item["repository"]) or "all, by path"),
    Column("KIND", plain("kind"), 1),
)


def state_of(item: Json, how: Look) -> str:
    """An upstream's state as people say it."""
    if item["circuit"] == "closed":
        limited = item["limited_until"]
        if limited:
            return f"limited until {moment(limited)}"
        if _fails(item):
            return "fails"
        return "answers" if item["last_answer"] else "not asked yet"
    since = f" since {moment(item['since'])}" if item["since"] else ""
    again = f", next try {moment(item['next_try'])}" if item["next_try"] else ""
    return f"does not answer{since}{again}"


def _fails(item: Json) -> bool:
    """Whether what was asked last got no answer that could be used, though it may have got one."""
    failed = str(item.get("last_failure") or "")
    return failed != "" and failed >= str(item["last_answer"] or "")


def quota_of(item: Json, how: Look) -> str:
    """Pulls left of those allowed."""
    found = item["rate_limit"]
    if not found or found["remaining"] is None:
        return ""
    return f"{found['remaining']} of {found['limit']}" if found["limit"] is not None else str(found["remaining"])


_UPSTREAMS = (
    Column("REPOSITORY", plain("repository")),
    Column("UPSTREAM", plain("upstream"), 1),
    Column("STATE", state_of),
    Column("PULLS LEFT", quota_of, 2),
    Column("HITS", plain("hits"), 4, right=True),
    Column("MISSES", plain("misses"), 5, right=True),
    Column("STALE", plain("stale"), 3, right=True),
    Column("FAILED", lambda item, how: str(item["failures"] + item["bad_answers"]), 6, right=True),
    Column("FETCHED", size("bytes_fetched"), 7, right=True),
)


@click.command()
@talks
def status(talk: Talk) -> None:
    """Show whether the server works, its ports, storage and upstreams."""
    found = talk.client.get("status")
    if talk.as_json:
        talk.print_json(found)
        return
    how = talk.look
    well = "ready" if found["ready"] else f"not ready: {clean(found['reason'])}"
    up = duration(found["uptime_seconds"])
    print(f"Pierhead {clean(found['version'])} at {talk.client.server}: {well}. Up {up}; you are {found['account']}.")
    for warning in found["warnings"] or ():
        print(f"! {clean(warning)}")
    print()
    show(_PORTS, found["ports"], how, "No port is open.")
    storage = found["storage"]
    if storage is not None:
        print()
        print(_storage(storage))
    if found["upstreams"]:
        print()
        show(_UPSTREAMS, found["upstreams"], how, "")
        for one in found["upstreams"]:
            if one["reason"] and (one["circuit"] != "closed" or _fails(one)):
                print(f"! {one['repository']}: {clean(one['reason'])}")


def _storage(found: Json) -> str:
    held = f"{human_size(found['blob_bytes'])} in {counted(found['blobs'], 'blob')}"
    named = f"{counted(found['tags'], 'tag')} of {counted(found['images'], 'image')}"
    lines = [
        (
            f"Storage: {held}; {named}; {counted(found['manifests'], 'manifest')}; "
            f"{counted(found['uploads'], 'upload')} open."
        )
    ]
    if found["condemned_bytes"]:
        going = counted(found["condemned_blobs"], "blob")
        lines.append(f"On its way out: {human_size(found['condemned_bytes'])} in {going}.")
    if found["disk_bytes"]:
        free, total = found["disk_available_bytes"], found["disk_bytes"]
        lines.append(f"Disk: {human_size(free)} of {human_size(total)} free ({100 * free // total} %).")
        if found["reserve_bytes"]:
            lines[-1] += f" {human_size(found['reserve_bytes'])} are set aside for deletions when it is full."
    return "\n".join(lines)
