"""Undo against a running server, by command and over REST: history with who and through what, rollback, restore."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.images import image, index
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Answer

DEV, UAT = "docker-hosted-dev", "docker-hosted-uat"
PUBLISHER = {"PIERHEAD_USER": "svc-orchestrator", "PIERHEAD_PASSWORD": "orchestrator-secret-1"}
DEPLOYER = {"PIERHEAD_USER": "svc-deploy", "PIERHEAD_PASSWORD": "deploy-secret-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


def push(server: Pierhead, name: str, *seeds: int, tag: str = "stable", account: str = "svc-orchestrator") -> list[str]:
    with server.wire(DEV, account) as wire:
        for seed in seeds:
            wire.push(name, tag, image(seed=seed))
    return [image(seed=seed).digest for seed in seeds]


def run(server: Pierhead, *args: str, **environment: str) -> str:
    code, out, err = server.run_command(*args, environment=environment)
    assert (code, err) == (0, ""), (out, err)
    return out


def document(server: Pierhead, *args: str) -> Any:
    return json.loads(run(server, *args, "-o", "json"))


def refused(server: Pierhead, *args: str, **environment: str) -> str:
    code, out, err = server.run_command(*args, environment=environment)
    assert (code, out, err.count("\n")) == (1, "", 1), (out, err)
    return err.strip()


def ask(server: Pierhead, method: str, path: str, body: object = None, account: str = "admin") -> Answer:
    with server.wire("main", account) as wire:
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if sent else {}
        return wire.request(method, f"/api/v1/repositories/{DEV}/{path}", sent, headers)


def pull(server: Pierhead, name: str, reference: str = "stable") -> Answer:
    with server.wire(DEV) as wire:
        return wire.get_manifest(name, reference)


def test_a_tag_is_put_back_by_whoever_may_push_and_its_history_tells_who_did(server: Pierhead) -> None:
    first, second, third = push(server, "undo/moved", 1, 2, 3)
    said = run(server, "tag", "rollback", f"{DEV}/undo/moved:stable", **PUBLISHER)
    assert said == f"{DEV}/undo/moved:stable points at {second} again; before at {third}.\n"
    assert pull(server, "undo/moved").headers["Docker-Content-Digest"] == second
    assert document(server, "tag", "rollback", f"{DEV}/undo/moved:stable", "--to", first[7:15])["digest"] == first
    table = run(server, "tag", "history", f"{DEV}/undo/moved:stable")
    assert re.sub("  +", "  ", table).splitlines()[0] == "FROM  TO  DIGEST  BY  THROUGH  COMMIT  ENDED BY  IN"
    past = document(server, "tag", "history", f"{DEV}/undo/moved:stable")["items"]
    assert [(one["digest"], one["how"], one["by"], one["ended_by"]) for one in past] == [
        (first, "rollback", "admin", None),
        (second, "rollback", "svc-orchestrator", "admin"),
        (third, "push", "svc-orchestrator", "svc-orchestrator"),
        (second, "push", "svc-orchestrator", "svc-orchestrator"),
        (first, "push", "svc-orchestrator", "svc-orchestrator"),
    ]
    assert past[0]["through"] == {"how": "password"}
    on = past[0]["since"][:10]
    assert "Now: sha256:" in run(server, "tag", "history", f"{DEV}/undo/moved:stable", "--on", on)
    code, out, err = server.run_command("tag", "history", f"{DEV}/undo/moved:stable", "--on", "2020-01-01")
    assert (code, out, err) == (0, "", f"{DEV}/undo/moved:stable stood for nothing on 2020-01-01.\n")


def test_what_may_not_be_put_back_says_why_and_what_to_do(server: Pierhead) -> None:
    first, second = push(server, "undo/refused", 1, 2)
    name = f"{DEV}/undo/refused:stable"
    assert "may not push to" in refused(server, "tag", "rollback", name, **DEPLOYER)
    assert "goes back 1 step at most" in refused(server, "tag", "rollback", name, "--steps", "2")
    assert "pierhead tag history" in refused(server, "tag", "rollback", name, "--to", "0" * 8)
    assert "Say in which repository" in refused(server, "tag", "rollback", "undo/refused:stable")
    answer = ask(server, "POST", "images/undo/refused/-/tags/stable/rollback", {"to": first, "seen": first})
    assert (answer.status, answer.json()["code"]) == (409, "tag_moved")
    answer = ask(server, "POST", "images/undo/refused/-/tags/stable/rollback", {"to": "sha256:1"})
    assert (answer.status, answer.json()["code"]) == (400, "digest_invalid")
    answer = ask(server, "POST", "images/undo/refused/-/tags/stable/rollback", {"to": first, "steps": 1})
    assert (answer.status, answer.json()["code"]) == (400, "body_invalid")
    answer = ask(server, "POST", "images/undo/refused/-/tags/stable/restore", {})
    assert (answer.status, answer.json()["code"]) == (409, "tag_stands")
    assert pull(server, "undo/refused").headers["Docker-Content-Digest"] == second


def test_a_stage_that_is_written_once_takes_nothing_back(server: Pierhead) -> None:
    with server.wire("main") as wire:
        wire.push(f"{UAT}/undo/once", "1.0", image(seed=1))
    assert "is filled by promotion only" in refused(server, "tag", "rollback", f"{UAT}/undo/once:1.0", **PUBLISHER)
    run(server, "delete", f"{UAT}/undo/once:1.0", "--yes")
    run(server, "tag", "restore", f"{UAT}/undo/once:1.0")
    with server.wire("main") as wire:
        assert wire.get_manifest(f"{UAT}/undo/once", "1.0").status == 200


def test_a_deleted_tag_and_a_deleted_image_are_listed_and_come_back(server: Pierhead) -> None:
    (only,) = push(server, "undo/deleted", 7)
    push(server, "undo/deleted", 7, tag="other")
    run(server, "delete", f"{DEV}/undo/deleted@{only}", "--yes")
    assert pull(server, "undo/deleted", only).status == 404
    items = document(server, "tag", "deleted", f"{DEV}/undo/deleted")["items"]
    assert [(one["tag"], one["digest"], one["how"], one["by"]) for one in items] == [
        ("stable", only, "delete manifest", "admin"),
        ("other", only, "delete manifest", "admin"),
    ]
    assert items[0]["size"] == sum(blob.size for blob in image(seed=7).blobs)
    said = run(server, "tag", "restore", f"{DEV}/undo/deleted@{only}", **PUBLISHER)
    assert said == f"{DEV}/undo/deleted@{only} is there again with other, stable.\n"
    run(server, "delete", f"{DEV}/undo/deleted:stable", "--yes")
    assert run(server, "tag", "restore", f"{DEV}/undo/deleted:stable", f"@{only}").endswith(f"{only}.\n")
    assert pull(server, "undo/deleted").body == image(seed=7).manifest.data
    assert document(server, "tag", "deleted", f"{DEV}/undo/deleted")["items"] == []


def test_a_deleted_index_comes_back_whole_for_a_client(server: Pierhead) -> None:
    whole = index({"linux/amd64": image(seed=21), "linux/arm64": image(seed=22)})
    with server.wire(DEV) as wire:
        wire.push("undo/index", "1", whole)
    for digest in (whole.digest, image(seed=21).digest):
        run(server, "delete", f"{DEV}/undo/index@{digest}", "--yes")
    run(server, "tag", "restore", f"{DEV}/undo/index:1")
    for reference in ("1", image(seed=21).digest, image(seed=22).digest):
        assert pull(server, "undo/index", reference).status == 200


def test_what_is_purged_cannot_come_back_and_its_space_is_wanted_by_nothing(server: Pierhead) -> None:
    (only,) = push(server, "undo/purged", 31)
    run(server, "delete", f"{DEV}/undo/purged@{only}", "--yes")
    assert "may not delete" in refused(server, "tag", "purge", f"{DEV}/undo/purged@{only}", "--yes", **PUBLISHER)
    assert "is purged" in run(server, "tag", "purge", f"{DEV}/undo/purged@{only}", "--yes")
    assert "pierhead tag deleted" in refused(server, "tag", "restore", f"{DEV}/undo/purged@{only}")
    with server.wire() as wire:
        found = wire.request("GET", "/api/v1/audit?kind=purge").expect(200).json()["items"]
    assert [(one["account"], one["image"], one["digest"]) for one in found] == [("admin", "undo/purged", only)]
