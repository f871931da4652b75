"""Expiry on a running server: the dry run argues, the run obeys, people bring back, and what is promoted stays."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pierhead.domain.build_cache import CACHE_CONFIG
from tests.peers.images import OCI_MANIFEST, Blob, artifact, image, index, json_blob, random_bytes
from tests.peers.pierhead import Pierhead, house
from tests.promises.houses import DEV

RULES = {
    "keep_deleted": "14d",
    "every": "7d",
    "repositories": {
        DEV: [
            {"tags": ["{version}"], "keep": True},
            {"images": ["expiry/*"], "tags": ["main-*"], "newest": 2},
            {"images": ["expiry/*"], "tags": ["branch-*"], "unused": "30d"},
            {"build_caches": "1MB"},
        ]
    },
}
OPERATOR = {"PIERHEAD_USER": "svc-operator", "PIERHEAD_PASSWORD": "operator-secret-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    config = house(expiry=RULES)
    config["accounts"]["svc-operator"] = {"password_env": "SVC_OPERATOR_PASSWORD", "roles": ["operator"]}
    with Pierhead(config, environment={"SVC_OPERATOR_PASSWORD": OPERATOR["PIERHEAD_PASSWORD"]}) as started:
        yield started


def run(server: Pierhead, *args: str, **environment: str) -> str:
    code, out, err = server.run_command(*args, environment=environment)
    assert code == 0, (out, err)
    return out


def document(server: Pierhead, *args: str, **environment: str) -> Any:
    return json.loads(run(server, *args, "-o", "json", **environment))


def push(server: Pierhead, name: str, *tags: str, seed: int) -> list[str]:
    with server.wire(DEV) as wire:
        for number, tag in enumerate(tags):
            wire.push(name, tag, image(seed=seed + number))
    return [image(seed=seed + number).digest for number in range(len(tags))]


def status(server: Pierhead, name: str, reference: str, method: str = "GET") -> int:
    with server.wire(DEV) as wire:
        return wire.get_manifest(name, reference, method=method).status


def test_a_run_takes_what_its_dry_run_said_and_people_bring_it_back(server: Pierhead) -> None:
    digests = push(server, "expiry/app", "main-1", "main-2", "main-3", "main-4", seed=100)
    push(server, "expiry/app", "branch-new", "1.0", seed=110)
    push(server, "other/app", "main-1", "main-2", "main-3", "main-4", seed=120)
    for _ in range(3):
        assert status(server, "expiry/app", "main-2") == 200
    dry = document(server, "expire", "--dry-run", **OPERATOR)
    assert [(one["tag"], one["rule"], one["why"], one["pulls_90_days"]) for one in dry["items"]] == [
        ("main-2", "main-* of expiry/* not of the newest 2", "2 are newer", 3),
        ("main-1", "main-* of expiry/* not of the newest 2", "3 are newer", 0),
    ]
    assert dry["removals"] == 2
    assert dry["bytes"] >= sum(one["bytes"] for one in dry["items"]) > 0
    assert dry["pulls_counted_since"] is not None
    said = run(server, "expire", "--dry-run", **OPERATOR)
    assert said.startswith("By these rules 2 go, which frees ")
    assert "would have broken no pull" in said
    assert status(server, "expiry/app", "main-1") == 200, "a dry run changes nothing"

    folder = run(
        server, "expire", "--dry-run", "--data", str(server.data), "--config", str(server.config_path), "-o", "json"
    )
    same = ("items", "removals", "bytes", "rules", "broken", "guarded")
    assert {key: json.loads(folder)[key] for key in same} == {key: dry[key] for key in same}

    done = document(server, "expire", **OPERATOR)
    assert (done["removed"], done["stayed"], done["left"]) == (2, 0, 0)
    assert [status(server, "expiry/app", f"main-{n}") for n in (1, 2, 3, 4)] == [404, 404, 200, 200]
    assert [status(server, "expiry/app", digest) for digest in digests] == [404, 404, 200, 200]
    assert [status(server, "expiry/app", tag) for tag in ("branch-new", "1.0")] == [200, 200]
    assert [status(server, "other/app", f"main-{n}") for n in (1, 2, 3, 4)] == [200] * 4
    deleted = document(server, "tag", "deleted", f"{DEV}/expiry/app")["items"]
    assert {(one["tag"], one["how"], one["by"], one["rule"]) for one in deleted} == {
        (tag, "expire", "pierhead", "main-* of expiry/* not of the newest 2") for tag in ("main-1", "main-2")
    }
    events = document(server, "audit", "--kind", "expire")["items"]
    assert {(one["tags"][0], one["rule"]) for one in events} == {(one["tag"], one["rule"]) for one in deleted}
    kept = document(server, "gc", "--dry-run", **OPERATOR)
    assert (kept["deleted_manifests"], kept["deleted_bytes"]) == (2, dry["bytes"])
    assert "Kept to be brought back: 2 deleted images, " in run(server, "gc", "--dry-run", **OPERATOR)
    run(server, "tag", "restore", f"{DEV}/expiry/app:main-2")
    assert status(server, "expiry/app", "main-2") == 200
    again = document(server, "expire", "--dry-run", **OPERATOR)
    assert [one["tag"] for one in again["items"]] == ["main-3"], "what was brought back is the newest"
    assert again["last_run"]["removed"] == 2


def test_what_a_stage_holds_stays_in_the_first_one_as_well(server: Pierhead) -> None:
    held, _, _ = push(server, "expiry/held", "main-1", "main-2", "main-3", seed=130)
    run(server, "promote", "expiry/held:main-1", "--to", "uat", "--as", "1.0.0")
    dry = document(server, "expire", "--dry-run", **OPERATOR)
    guarded = [one for one in dry["guarded_items"] if one["image"] == "expiry/held"]
    assert [(one["tag"], one["digest"], one["guarded"]) for one in guarded] == [
        ("main-1", held, "docker-hosted-uat holds it now")
    ]
    document(server, "expire", **OPERATOR)
    assert status(server, "expiry/held", "main-1") == 200


def test_what_a_cluster_runs_stays_even_if_it_names_one_platform_only(server: Pierhead) -> None:
    whole = index({"linux/amd64": image(seed=151), "linux/arm64": image(seed=152)})
    with server.wire(DEV) as wire:
        wire.push("expiry/runs", "main-1", whole)
    push(server, "expiry/runs", "main-2", "main-3", seed=153)
    runs = {"image": f"{server.address(DEV)}/expiry/runs:main-1", "digest": image(seed=151).digest, "workload": "Job/x"}
    with server.wire() as wire:
        body = json.dumps({"cluster": "edge-7", "images": [runs]}).encode()
        wire.request("POST", "/api/v1/running", body, {"Content-Type": "application/json"}).expect(200)
    dry = document(server, "expire", "--dry-run", **OPERATOR)
    guarded = [(one["tag"], one["guarded"]) for one in dry["guarded_items"] if one["image"] == "expiry/runs"]
    assert guarded == [("main-1", "edge-7 runs it (Job/x)")]
    assert "In use, and so kept although a rule says otherwise: " in run(server, "expire", "--dry-run", **OPERATOR)
    document(server, "expire", **OPERATOR)
    assert status(server, "expiry/runs", "main-1") == 200
    with server.wire() as wire:
        wire.request("DELETE", "/api/v1/running/edge-7").expect(200)
    document(server, "expire", **OPERATOR)
    assert status(server, "expiry/runs", "main-1") == 404


def test_a_build_cache_is_promoted_by_nobody_and_the_oldest_go_beyond_their_bytes(server: Pierhead) -> None:
    config = json_blob({"layers": [], "records": []}, CACHE_CONFIG)
    with server.wire(DEV) as wire:
        for number in range(3):
            layer = Blob(random_bytes(600_000, number), "application/vnd.oci.image.layer.v1.tar")
            body = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }
            for blob in (config, layer):
                wire.push_blob("expiry/cached", blob)
            wire.put_manifest("expiry/cached", f"cache-{number}", json_blob(body, OCI_MANIFEST)).expect(201)
    code, out, err = server.run_command("promote", "expiry/cached:cache-2", "--to", "uat")
    assert (code, out) == (1, "")
    assert "is a build cache of buildkit, which no stage takes" in err
    item = document(server, "inspect", f"{DEV}/expiry/cached:cache-2")
    assert item["build_cache"] == "buildkit"
    found = [one for one in document(server, "expire", **OPERATOR)["items"] if one["image"] == "expiry/cached"]
    assert [(one["tag"], one["rule"]) for one in found] == [
        ("cache-0", "build caches beyond their bytes"),
        ("cache-1", "build caches beyond their bytes"),
    ]
    assert [status(server, "expiry/cached", f"cache-{n}") for n in range(3)] == [404, 404, 200]
    assert document(server, "tag", "deleted", f"{DEV}/expiry/cached")["items"] == []


def test_signatures_and_platforms_go_and_come_back_with_their_image(server: Pierhead) -> None:
    whole = index({"linux/amd64": image(seed=141), "linux/arm64": image(seed=142)})
    signed = artifact(whole)
    with server.wire(DEV) as wire:
        wire.push("expiry/whole", "main-1", whole)
        wire.push("expiry/whole", signed.digest, signed)
    push(server, "expiry/whole", "main-2", "main-3", seed=143)
    item = next(one for one in document(server, "expire", **OPERATOR)["items"] if one["image"] == "expiry/whole")
    assert (item["tag"], item["manifests"]) == ("main-1", 4)
    parts = ("main-1", whole.digest, signed.digest, image(seed=141).digest)
    assert [status(server, "expiry/whole", one) for one in parts] == [404] * 4
    run(server, "tag", "restore", f"{DEV}/expiry/whole:main-1")
    assert [status(server, "expiry/whole", one) for one in parts] == [200] * 4


def test_whoever_may_not_run_tasks_may_not_see_plans(server: Pierhead) -> None:
    code, out, err = server.run_command("expire", "--dry-run", environment={
        "PIERHEAD_USER": "svc-deploy", "PIERHEAD_PASSWORD": "deploy-secret-1"})  # fmt: skip
    assert (code, out) == (1, "")
    assert "needs the role `operator` or `admin`" in err


def test_a_data_folder_is_only_looked_at(server: Pierhead) -> None:
    code, out, err = server.run_command("expire", "--data", str(server.data), "--config", str(server.config_path))
    assert (code, out) == (1, "")
    assert "expire --dry-run --data DIR --config FILE" in err
    code, _, err = server.run_command("expire", "--dry-run", "--data", "/nowhere", "--config", str(server.config_path))
    assert code == 1
    assert "is no data folder" in err


def test_a_data_folder_of_another_version_or_damaged_is_told_with_the_way_out(server: Pierhead, tmp_path: Path) -> None:
    def told(way: str) -> str:
        given = ("expire", "--dry-run", "--data", str(tmp_path), "--config", str(server.config_path))
        code, out, err = server.run_command(*given)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.endswith(f"{way}\n")
        return err

    database = tmp_path / "pierhead.db"
    with closing(sqlite3.connect(server.data / "pierhead.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(database),))
        (this,) = connection.execute("PRAGMA user_version").fetchone()
    for version, way in ((1, "Start its server once."), (9999, "Use the program that wrote it.")):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        assert f"has schema {version}" in told(way)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {this}")
    with database.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(range(256)) * 160)
    assert "damaged" in told("Restore the last backup.")


def test_pulls_that_were_counted_outlive_the_program(server: Pierhead) -> None:
    push(server, "expiry/counted", "main-1", "main-2", "main-3", seed=160)
    for method in ("GET", "HEAD"):
        assert status(server, "expiry/counted", "main-1", method) == 200
    server.restart()
    with server.wire() as wire:
        listed = (
            wire.request("GET", f"/api/v1/repositories/{DEV}/images/expiry/counted/-/tags").expect(200).json()["items"]
        )
    assert [one["pulled"] is None for one in listed] == [False, True, True]
    items = document(server, "expire", "--dry-run", **OPERATOR)["items"]
    assert [(one["tag"], one["pulls_90_days"]) for one in items if one["image"] == "expiry/counted"] == [("main-1", 2)]
