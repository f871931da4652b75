"""What clusters run, from outside: reports replace lists at once, the board shows them beside what its stages hold, and
the example for Kubernetes does it by itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.peers.images import Index, image, index
from tests.peers.pierhead import Pierhead, house
from tests.promises.desk import PASSWORD, make, tell, token
from tests.promises.houses import DEV, GROUP, PROD, UAT

SERVER, AGENT = "orchestrator/server", "orchestrator/agent"
ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "peers" / "recorded" / "pods.json"
OLD, NOW, NEXT = image(seed=1), image(seed=2), image(seed=3)
BOTH: Index = index({"linux/amd64": image(seed=4), "linux/arm64": image(seed=5, architecture="arm64")})


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    """1.3 and 1.4 are in prod, 1.5 is in dev only; the agent is an index of two platforms."""
    services = {"server": {"image": SERVER}, "agent": {"image": AGENT}}
    with Pierhead(house(services=services, workers=3, board={"stale_after": "1h"})) as started:
        with started.wire(DEV) as dev, started.wire() as main:
            for tag, what in (("1.3", OLD), ("1.4", NOW), ("1.5", NEXT)):
                dev.push(SERVER, tag, what)
            for tag, what in (("1.3", OLD), ("1.4", NOW)):
                for stage in (UAT, PROD):
                    main.push(f"{stage}/{SERVER}", tag, what)
            push_index(main, f"{PROD}/{AGENT}", "0.31")
            dev.push("secret/tool", "1", image(seed=6))
        tell(started, "PUT", "/roles/dev-only", {"rules": [{"rights": ["pull"], "repositories": [DEV]}]})
        make(started, "dev-only", "dev-only")
        make(started, "svc-report", "reporter")
        yield started


def push_index(wire: Any, name: str, tag: str) -> None:
    for one in BOTH.images:
        wire.push(name, one.digest, one)
    wire.put_manifest(name, tag, BOTH.manifest).expect(201)


def say(server: Pierhead, cluster: str, *images: object, **more: object) -> dict[str, Any]:
    body = {"cluster": cluster, "images": list(images), **more}
    found: dict[str, Any] = tell(server, "POST", "/running", body, who="svc-report", password=PASSWORD)
    return found


def runs(server: Pierhead, service: str = "server", who: str = "admin") -> list[dict[str, Any]]:
    password = None if who == "admin" else PASSWORD
    (row,) = tell(server, "GET", f"/board?service={service}", who=who, password=password)["items"]
    return list(row["runs"])


@pytest.fixture(autouse=True)
def nothing_runs(server: Pierhead) -> Iterator[None]:
    yield
    for one in tell(server, "GET", "/running/clusters")["items"]:
        tell(server, "DELETE", f"/running/{one['cluster']}")


def at(server: Pierhead, name: str, reference: str) -> str:
    joint = "@" if reference.startswith("sha256:") else ":"
    return f"{server.address(GROUP)}/{name}{joint}{reference}"


# --- what a report means ---------------------------------------------------------------------------------------------


def test_the_board_tells_what_runs_from_what_the_stage_holds(server: Pierhead) -> None:
    found = say(
        server,
        "prod-eu",
        {"image": at(server, SERVER, "1.4"), "digest": NOW.digest, "workload": "Deployment/server", "count": 7},
        {"image": at(server, SERVER, "1.3"), "digest": OLD.digest, "workload": "Deployment/old", "count": 2},
        {"image": at(server, SERVER, "1.5"), "digest": NEXT.digest, "workload": "Pod/try"},
        "quay.io/somebody/else:1",
    )
    assert (found["entries"], found["ours"], found["changed"], found["stale"]) == (4, 3, True, False)
    told = {one["workload"]: (one["state"], one["tag"], one["count"]) for one in runs(server)}
    assert told == {
        "Deployment/server": ("current", "1.4", 7),
        "Deployment/old": ("other", "1.3", 2),
        "Pod/try": ("absent", "1.5", 1),
    }
    code, out, err = server.run_command("board", "--service", "server")
    assert code == 0, err
    assert "! 2 of 10 on 1.3, 1 of 10 on 1.5, not in prod" in out
    assert [row["service"] for row in tell(server, "GET", "/board?strays=true")["items"]] == ["server"]


def test_a_tag_alone_is_what_the_group_would_give_now(server: Pierhead) -> None:
    say(server, "prod-eu", at(server, SERVER, "1.4"), at(server, SERVER, "1.5"), at(server, SERVER, "no-such"))
    told = {one["tag"]: (one["state"], one["digest"]) for one in runs(server)}
    assert told == {"1.4": ("current", NOW.digest), "1.5": ("absent", NEXT.digest), "no-such": ("unknown", None)}


def test_one_platform_of_an_index_runs_what_the_index_is(server: Pierhead) -> None:
    """Runtimes differ in which of the two digests they tell."""
    child = BOTH.images[1].digest
    say(server, "prod-eu", at(server, AGENT, child), at(server, AGENT, BOTH.digest))
    assert {(one["state"], one["tag"]) for one in runs(server, "agent")} == {("current", "0.31")}


def test_a_cluster_of_another_stage_is_held_against_that_one(server: Pierhead) -> None:
    say(server, "dev-eu", at(server, SERVER, NEXT.digest), stage="dev")
    assert [(one["stage"], one["state"]) for one in runs(server)] == [("dev", "current")]
    refused = tell(
        server, "POST", "/running", {"cluster": "x", "images": [], "stage": "qa"}, who="svc-report",
        password=PASSWORD, status=(400,),
    )  # fmt: skip
    assert "dev, uat, prod" in refused["message"]


def test_a_reference_by_path_on_the_main_port_is_ours_too(server: Pierhead) -> None:
    say(server, "prod-eu", f"{server.address()}/{PROD}/{SERVER}:1.4", f"{server.address()}/{DEV}/secret/tool:1")
    listed = tell(server, "GET", "/running")["items"]
    assert {(one["repository"], one["image"], tuple(one["stages"])) for one in listed} == {
        (PROD, SERVER, ("dev", "uat", "prod")),
        (DEV, "secret/tool", ("dev",)),
    }


def test_a_report_replaces_the_list_of_its_cluster_in_every_worker_at_once(server: Pierhead) -> None:
    say(server, "other", at(server, SERVER, "1.3"))
    for number in range(12):
        wanted = (OLD, NOW)[number % 2]
        say(server, "prod-eu", at(server, SERVER, wanted.digest))
        found = tell(server, "GET", "/running?cluster=prod-eu")["items"]
        assert [one["digest"] for one in found] == [wanted.digest]
    assert [one["cluster"] for one in tell(server, "GET", "/running/clusters")["items"]] == ["other", "prod-eu"]
    assert say(server, "prod-eu", at(server, SERVER, NOW.digest))["changed"] is False


def test_pages_hold_every_entry_once(server: Pierhead) -> None:
    for cluster in ("a", "b"):
        say(server, cluster, *(f"quay.io/x/i{number}:1" for number in range(5)), at(server, SERVER, "1.4"))
    every = [(one["cluster"], one["reference"]) for one in tell(server, "GET", "/running")["items"]]
    assert len(set(every)) == 12
    for query in ("", "&cluster=b", f"&image={SERVER}"):
        found, cursor = [], ""
        while True:
            page = tell(server, "GET", f"/running?limit=2{query}{cursor}")
            found += [(one["cluster"], one["reference"]) for one in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        wanted = [
            one
            for one in every
            if (query != "&cluster=b" or one[0] == "b") and ("image" not in query or SERVER in one[1])
        ]
        assert found == wanted


# --- who may ---------------------------------------------------------------------------------------------------------


def test_only_a_reporter_reports_and_nobody_sees_what_they_may_not_pull(server: Pierhead) -> None:
    say(server, "prod-eu", at(server, SERVER, "1.4"), f"{server.address(DEV)}/secret/tool:1", "quay.io/x/y:1")
    body = {"cluster": "prod-eu", "images": []}
    refused = tell(server, "POST", "/running", body, who="dev-only", password=PASSWORD, status=(403,))
    assert "role `reporter`" in refused["message"]
    tell(server, "DELETE", "/running/prod-eu", who="dev-only", password=PASSWORD, status=(403,))
    tell(server, "GET", "/running/clusters", who="dev-only", password=PASSWORD, status=(403,))
    mine = tell(server, "GET", "/running", who="dev-only", password=PASSWORD)["items"]
    assert {one["image"] for one in mine} == {SERVER, "secret/tool"}
    assert {stage for one in mine for stage in one["stages"]} == {"dev"}
    assert tell(server, "GET", "/running", who="svc-report", password=PASSWORD)["items"] == []
    assert len(tell(server, "GET", "/running")["items"]) == 3
    assert runs(server, who="dev-only") == [], "the cluster runs for prod, of which this account sees nothing"


def test_a_reporter_of_one_stage_reports_for_no_cluster_of_another(server: Pierhead) -> None:
    """Nor takes one over by saying that it belongs to its own."""
    tell(server, "PUT", "/roles/uat-report", {"rules": [{"rights": ["report running"], "repositories": [UAT]}]})
    make(server, "uat-report", "uat-report")
    say(server, "prod-eu", at(server, SERVER, "1.4"))
    for more in ({}, {"stage": "prod"}, {"stage": "uat"}):
        body = {"cluster": "prod-eu", "images": [], **more}
        refused = tell(server, "POST", "/running", body, who="uat-report", password=PASSWORD, status=(403,))
        assert "this account reports for uat" in refused["message"]
    tell(server, "DELETE", "/running/prod-eu", who="uat-report", password=PASSWORD, status=(403,))
    assert len(runs(server)) == 1, "what runs in prod is protected as before"
    body = {"cluster": "uat-eu", "stage": "uat", "images": [at(server, SERVER, "1.4")]}
    assert tell(server, "POST", "/running", body, who="uat-report", password=PASSWORD)["ours"] == 1
    tell(server, "DELETE", "/running/uat-eu", who="uat-report", password=PASSWORD)


def test_what_runs_under_a_tag_that_is_not_here_is_a_stray(server: Pierhead) -> None:
    say(server, "prod-eu", at(server, AGENT, "9.9"))
    (row,) = tell(server, "GET", "/board?strays=true")["items"]
    assert (row["service"], [one["state"] for one in row["runs"]]) == ("agent", ["unknown"])
    code, out, _ = server.run_command("board", "--strays", "--service", "server")
    assert (code, out) == (0, "")


def test_a_report_is_in_the_record_without_what_is_not_from_here(server: Pierhead) -> None:
    say(server, "recorded", at(server, SERVER, NOW.digest), "quay.io/a/secret-project:1")
    event = tell(server, "GET", "/audit?kind=running&limit=1")["items"][0]
    assert (event["account"], event["cluster"], event["entries"]) == ("svc-report", "recorded", 2)
    assert event["added"] == [f"{GROUP}/{SERVER}@{NOW.digest}"]
    assert "secret-project" not in json.dumps(event)


@pytest.mark.parametrize(
    "body",
    [
        {"cluster": "x"},
        {"cluster": "", "images": []},
        {"cluster": "a b", "images": []},
        {"images": []},
        {"cluster": "x", "images": [7]},
        {"cluster": "x", "images": [{}]},
        {"cluster": "x", "images": [""]},
        {"cluster": "x", "images": ["a\u202eb"]},
        {"cluster": "x", "images": ["x" * 600]},
        {"cluster": "x", "images": [{"image": "a", "count": 0}]},
        {"cluster": "x", "images": [{"image": "a", "digest": "sha256:12"}]},
        {"cluster": "x", "images": [{"image": "a", "pods": 1}]},
        {"cluster": "x", "images": [], "more": 1},
        {"cluster": "x", "images": [], "items": []},
        {"cluster": "x", "items": [{"kind": "Secret"}]},
        {"cluster": "x", "items": [{"status": {"phase": 7}}]},
    ],
)
def test_a_report_that_is_not_understood_changes_nothing_and_says_where(server: Pierhead, body: object) -> None:
    refused = tell(server, "POST", "/running", body, who="svc-report", password=PASSWORD, status=(400,))
    assert refused["code"] == "body_invalid"
    assert tell(server, "GET", "/running/clusters")["items"] == []


# --- the commands ----------------------------------------------------------------------------------------------------


def pods_of(server: Pierhead) -> str:
    """What kubectl printed of a cluster, with images of this server in place of those that stood there."""
    text = RECORDED.read_text().replace("REGISTRY", server.address(GROUP))
    return text.replace("sha256:" + "1" * 64, NOW.digest).replace("sha256:" + "2" * 64, BOTH.digest)


def command(server: Pierhead, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PIERHEAD_SERVER": server.url(),
        "PIERHEAD_USER": "svc-report",
        "PIERHEAD_PASSWORD": PASSWORD,
    }
    return subprocess.run(
        [server.command()[0], "-m", "pierhead", "running", *args], input=stdin, env=environment, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def test_the_command_takes_what_kubectl_prints_and_plain_lists(server: Pierhead) -> None:
    done = command(server, "report", "--cluster", "prod-eu", stdin=pods_of(server))
    assert done.returncode == 0, done.stderr
    assert "The list of prod-eu was replaced: 4 entries, of which 2 are images of this server." in done.stdout
    assert [(one["workload"], one["count"], one["state"]) for one in runs(server)] == [
        ("Deployment/server", 2, "current")
    ]
    by_hand = f"# by hand\n{at(server, SERVER, '1.4')}\n\n"
    done = command(server, "report", "--cluster", "uat-eu", "--stage", "uat", "-o", "json", stdin=by_hand)
    assert json.loads(done.stdout)["stage"] == "uat"
    code, out, err = server.run_command("running")
    assert (code, err) == (0, "")
    assert {"CLUSTER", "WORKLOAD", "Deployment/server", "StatefulSet/agent", "prod-eu", "uat-eu"} <= set(out.split())
    code, out, _ = server.run_command("board", "--service", "server")
    assert "ok 2/2" in out
    done = command(server, "clusters")
    assert {"prod-eu", "uat-eu", "svc-report"} <= set(done.stdout.split())
    done = command(server, "report", "--cluster", "uat-eu", "--stage", "uat", "--nothing")
    assert done.stdout == "The list of uat-eu was replaced: 0 entries, of which 0 are images of this server.\n"
    done = command(server, "forget", "uat-eu")
    assert done.stdout == "uat-eu is forgotten.\n"
    done = command(server, "forget", "uat-eu")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pierhead running clusters" in done.stderr


@pytest.mark.parametrize("text", ['{"a": 1}', '{"items": ', "[" * 100_000, "", "# nothing\n"])
def test_the_command_says_what_it_cannot_read(server: Pierhead, text: str) -> None:
    done = command(server, "report", "--cluster", "prod-eu", stdin=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Standard input")
    assert done.stderr.count("\n") == 1
    assert tell(server, "GET", "/running/clusters")["items"] == []


# --- the example for Kubernetes --------------------------------------------------------------------------------------


def objects() -> dict[str, dict[str, Any]]:
    text = (ROOT / "examples" / "kubernetes" / "running.yaml").read_text()
    return {one["kind"]: one for one in YAML(typ="safe", pure=True).load_all(text)}


def test_the_example_for_kubernetes_has_no_more_rights_than_it_needs() -> None:
    found = objects()
    assert found["ClusterRole"]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {one["name"] for one in container["volumeMounts"]}
    assert mounts == {one["name"] for one in pod["volumes"]}
    name = found["ServiceAccount"]["metadata"]["name"]
    assert pod["serviceAccountName"] == name == found["ClusterRoleBinding"]["subjects"][0]["name"]
    assert found["ClusterRoleBinding"]["roleRef"]["name"] == found["ClusterRole"]["metadata"]["name"]


@pytest.mark.parametrize("works", [True, False])
def test_the_script_of_the_example_reports_what_kubectl_lists(server: Pierhead, tmp_path: Path, works: bool) -> None:
    """With the real curl; kubectl's place is taken by what it printed of a cluster, or by a failure."""
    secret = token(server, "svc-report", f"cluster-{works}")["secret"]
    (tmp_path / "login").write_text(f'user = "svc-report:{secret}"\n')
    (tmp_path / "recorded.json").write_text(pods_of(server))
    asked = "get pods --all-namespaces --field-selector=status.phase=Running --output json"
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    ending = "exit 0" if works else "exit 1"
    kubectl.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] || exit 64\ncat {tmp_path}/recorded.json\n{ending}\n')
    kubectl.chmod(0o755)
    settings = {key: value for key, value in objects()["ConfigMap"]["data"].items() if key != "report.sh"}
    assert settings.keys() == {"PIERHEAD_SERVER", "CLUSTER", "STAGE"}
    environment = {
        **settings,
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
        "LOGIN": str(tmp_path / "login"),
        "PIERHEAD_SERVER": server.url(),
    }
    script = objects()["ConfigMap"]["data"]["report.sh"]
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=90)
    assert secret not in done.stdout + done.stderr
    assert (done.returncode == 0) is works, done.stderr
    clusters = tell(server, "GET", "/running/clusters")["items"]
    assert [(one["cluster"], one["entries"], one["by"]) for one in clusters] == (
        [(settings["CLUSTER"], 4, "svc-report")] if works else []
    )
