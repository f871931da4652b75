"""Every wrong name of the example house, pushed with real clients: what a person reads names the right one.

What is pushed to the wrong port, under a right name, is in ``test_wrong_port.py``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.clients import Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import Image, image, write_layout
from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV, GROUP, UAT, worker_behind, workers_of
from tests.promises.shared_house import SECRETS, SHARED_PORTS, as_account, example, password
from tests.promises.shop import runnable

ADMIN, CI, DATASTORE, DEPLOYER = "svc-admin", "svc-orchestrator", "svc-datastore", "svc-deployer"
WRONG = [
    ("cwiq-server", "Images have no `cwiq-` prefix here. Push to orchestrator/server."),
    ("orchestrator/cwiq-server", "Images have no `cwiq-` prefix here. Push to orchestrator/server."),
    (
        "orchestrator-server",
        "`orchestrator-server` is the old spelling. Set NEXUS_IMAGE_NAME to orchestrator/server (GitLab project 5).",
    ),
    ("server", "Images are called orchestrator/ and the project here. Push to orchestrator/server."),
    (
        "orchestrator/sever",
        (
            "`orchestrator/sever` is not in the catalogue, but nearly. Push to orchestrator/server. "
            "A new service is added to `services` first."
        ),
    ),
    (
        "orchestrator/runner-api",
        (
            "`orchestrator/runner-api` is the name of a service, and not of its image. "
            "Push to orchestrator/runner-service."
        ),
    ),
]
WARNED = "`orchestrator/brand-new` is not in the catalogue. Add its service to `services`."
ONE = image(seed=1)


@dataclass(frozen=True)
class Old:
    """A house without rules for names got these: an image under a wrong name, in dev as 1.0.1 and 1.0.2 and promoted
    to uat, a promotion that waits, and an upload that has begun. Then the rules came, by a reload."""

    server: Pierhead
    waits: int
    upload: str


def promote(wire: Wire, path: str = "", /, **body: object) -> Answer:
    sent = {"Content-Type": "application/json"}
    return wire.request("POST", f"/api/v1/promotions{path}", json.dumps(body).encode(), sent)


def with_an_archive(text: str) -> str:
    """The rule about prefixes is not for the archive, which is in a group whose pushes go to dev; prod is approved."""
    group = f"  writable-group: {{type: group, writable: {DEV}, members: [archive, {DEV}]}}\n"
    before_prod, gate, after = text.rpartition("      - who: {roles: [promoter, admin]}\n")
    text = f"{before_prod}{gate}      - approvals: 1\n{after}"
    for before, put in (
        ("    message: Images have no", '    repositories: ["docker-*"]\n    message: Images have no'),
        ("\nrepositories:\n", f"\nrepositories:\n  archive: {{type: hosted}}\n{group}"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, put)
    return text


@pytest.fixture(scope="module")
def old(docker_registry: DockerRegistry) -> Iterator[Old]:
    """With two workers, as all of this file."""
    text = with_an_archive(example("shared.yaml", SHARED_PORTS, docker_registry.url))
    free = text[: text.index("naming:\n")] + text[text.index("# What images are tagged") :]
    with Pierhead(free, environment=SECRETS, arguments=["--workers", "2"]) as server:
        with as_account(server, ADMIN, DEV) as wire, as_account(server, ADMIN) as main:
            for number in (1, 2):
                wire.push("cwiq-server", f"1.0.{number}", image(seed=10 + number))
                promote(main, image="cwiq-server", tag=f"1.0.{number}", to="uat").expect(200)
            waits = promote(main, image="cwiq-server", tag="1.0.1", to="prod").expect(200).json()
            upload = wire.request("POST", "/v2/cwiq-server/blobs/uploads/", b"").expect(202).headers["Location"]
        assert waits["state"] == "waiting"
        server.reload(text)
        server.wait_for_log("The configuration was read again.", 60)
        yield Old(server, waits["id"], upload)


@pytest.fixture(scope="module")
def house(old: Old) -> Pierhead:
    return old.server


@pytest.fixture
def skopeo_in(skopeo: Skopeo, house: Pierhead, tmp_path: Path) -> Skopeo:
    """skopeo, signed in as CI is, with an image in a layout at `tmp_path`."""
    for port in (DEV, GROUP, "main"):
        skopeo.login(house.address(port), CI, password(CI))
    write_layout(tmp_path / "in", {"1": ONE})
    return skopeo


def docker_push(engine: DockerEngine, house: Pierhead, name: str, port: str = DEV) -> str:
    """What `docker push` prints when it fails."""
    whole = f"{house.address(port)}/{name}:1.0.0"
    engine.load(runnable(1), whole)
    done = engine.docker("push", whole, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def docker(docker_engine: DockerEngine, house: Pierhead) -> DockerEngine:
    """An engine that is signed in as admin on all ports."""
    for port in (DEV, GROUP, "main"):
        docker_engine.login(house.address(port), ADMIN, password(ADMIN))
    return docker_engine


def refusals(wire: Wire, name: str, what: Image = ONE) -> Iterator[Answer]:
    """Every first request of a push."""
    blob = what.blobs[0]
    yield wire.request("POST", f"/v2/{name}/blobs/uploads/", b"")
    yield wire.request("POST", f"/v2/{name}/blobs/uploads/?digest={blob.digest}", blob.data)
    yield wire.request("POST", f"/v2/{name}/blobs/uploads/?mount={blob.digest}&from=orchestrator/server", b"")
    yield wire.put_manifest(name, "1.0.0", what.manifest)
    yield wire.put_manifest(name, what.manifest.digest, what.manifest)


# --- what people read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sentence"), WRONG)
def test_docker_prints_the_right_name(docker: DockerEngine, house: Pierhead, name: str, sentence: str) -> None:
    assert f"denied: {sentence}" in docker_push(docker, house, name)


def test_skopeo_prints_the_right_name_by_port_and_by_path(skopeo_in: Skopeo, house: Pierhead, tmp_path: Path) -> None:
    for name, sentence in WRONG:
        # CI may not push outside of its folder, and is told the right name all the same.
        told = sentence if name.startswith("orchestrator/") else f"{CI} may not push to {DEV}/{name}. {sentence}"
        for address in (f"{house.address(DEV)}/{name}", f"{house.address()}/{DEV}/{name}"):
            done = skopeo_in("copy", f"oci:{tmp_path}/in:1", f"docker://{address}:1.0.0", check=False)
            assert done.returncode != 0
            assert f"denied: {told}" in done.stderr


def test_the_wrong_port_and_a_wrong_name_are_told_together(
    docker: DockerEngine, skopeo_in: Skopeo, house: Pierhead, tmp_path: Path
) -> None:
    port = house.address(GROUP).rpartition(":")[2]
    told = f"Images have no `cwiq-` prefix here. Push to {house.address(DEV)}/orchestrator/server."
    for wrong, begins in (
        (GROUP, f"unsupported: This port ({port}) is for pulling."),
        ("main", "name unknown: There is no repository `cwiq-server` here."),
    ):
        assert f"{begins} {told}" in docker_push(docker, house, "cwiq-server", wrong)
        target = f"docker://{house.address(wrong)}/cwiq-server:1.0.0"
        assert f"{begins} {told}" in skopeo_in("copy", f"oci:{tmp_path}/in:1", target, check=False).stderr


def test_a_wrong_name_is_not_said_to_be_on_docker_hub(house: Pierhead) -> None:
    with as_account(house, CI, DEV) as wire:
        assert wire.get_manifest("cwiq-server", "1").expect(404).message == f"cwiq-server:1 is not in {DEV}."
        assert "Docker Hub images come from" in wire.get_manifest("python", "3").expect(404).message


def test_the_name_that_is_told_is_taken(docker: DockerEngine, house: Pierhead) -> None:
    said = docker_push(docker, house, "orchestrator-server")
    right = said.partition("Set NEXUS_IMAGE_NAME to ")[2].partition(" ")[0]
    name = f"{house.address(DEV)}/{right}:1.0.0"
    docker.load(runnable(1), name)
    docker.docker("push", name)


# --- any way of pushing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sentence"), WRONG)
def test_every_first_request_of_a_push_is_refused_before_its_bytes(house: Pierhead, name: str, sentence: str) -> None:
    with as_account(house, ADMIN, DEV) as port, as_account(house, ADMIN) as main:
        port.push("orchestrator/server", "1.0.0", ONE)
        for answer in (*refusals(port, name), *refusals(main, f"{DEV}/{name}"), *refusals(main, f"{UAT}/{name}")):
            assert (answer.status, answer.code, answer.message) == (403, "DENIED", sentence)
        detail = port.put_manifest(name, "1", ONE.manifest).json()["errors"][0]["detail"]
        assert detail["push_to"] in ("orchestrator/server", "orchestrator/runner-service")
        assert not port.request("HEAD", f"/v2/{name}/blobs/{ONE.blobs[0].digest}").expect(404).body
        port.request("HEAD", f"/v2/{name}/manifests/1.0.0").expect(404)
        port.request("GET", f"/v2/{name}/manifests/1.0.0").expect(404)


def test_a_push_through_a_writable_group_is_held_to_the_rules_of_where_it_goes(house: Pierhead) -> None:
    with as_account(house, ADMIN) as wire:
        for answer in refusals(wire, "writable-group/cwiq-server"):
            assert (answer.status, answer.message) == (403, WRONG[0][1])
        wire.push("archive/cwiq-server", "1.0.0", ONE)
        found = wire.get_manifest("writable-group/cwiq-server", "1.0.0").expect(200)
        assert found.headers["Docker-Content-Digest"] == ONE.digest


# --- who is told -----------------------------------------------------------------------------------------------------


def test_who_may_push_nothing_like_it_is_told_nothing_of_the_catalogue(house: Pierhead) -> None:
    nothing = "Pushing there needs the right `push`, from a role such as `publisher` or a rule under `trust`."
    for account, way_out in ((DEPLOYER, nothing), (DATASTORE, "There it pushes datastore/*.")):
        with as_account(house, account, DEV) as wire:
            for name, _ in WRONG:
                for answer in refusals(wire, name):
                    assert answer.message == f"{account} may not push to {DEV}/{name}. {way_out}"
                    assert (answer.status, answer.code) == (403, "DENIED")
    with house.wire(DEV, "", "") as wire:
        for answer in refusals(wire, "cwiq-server"):
            assert answer.status == 401
            assert "server" not in answer.message.replace("cwiq-server", "")


def test_names_of_others_are_free(house: Pierhead) -> None:
    with as_account(house, DATASTORE, DEV) as wire:
        assert "Warning" not in wire.push("datastore/postgres", "16", ONE).headers


# --- warnings --------------------------------------------------------------------------------------------------------


def test_a_name_that_is_warned_about_is_taken_told_and_recorded(house: Pierhead) -> None:
    with as_account(house, CI, DEV) as wire:
        begun = wire.request("POST", "/v2/orchestrator/brand-new/blobs/uploads/", b"").expect(202)
        assert begun.headers["Warning"] == f'299 - "{WARNED}"'
        wire.request("DELETE", begun.headers["Location"]).expect(204)
        assert wire.push("orchestrator/brand-new", "1.0.0", ONE).expect(201).headers["Warning"] == f'299 - "{WARNED}"'
        assert "Warning" not in wire.push("orchestrator/server", "1.0.1", ONE).headers
        assert "Warning" not in wire.get_manifest("orchestrator/brand-new", "1.0.0").headers
    with as_account(house, ADMIN) as wire:
        found = wire.request("GET", "/api/v1/audit?image=orchestrator/brand-new&kind=push").expect(200).json()["items"]
    assert found[0]["naming"] == {"rule": "not-in-the-catalogue", "message": WARNED}


def test_a_refused_name_is_recorded(house: Pierhead) -> None:
    with as_account(house, CI, DEV) as wire:
        wire.put_manifest("orchestrator/cwiq-ui", "1", ONE.manifest).expect(403)
    with as_account(house, ADMIN) as wire:

        def told() -> bool:
            found = wire.request("GET", "/api/v1/audit?image=orchestrator/cwiq-ui&kind=refused").expect(200).json()
            return [one["refusal"] for one in found["items"]] == ["NameRefused"]

        wait_until(told, 20, "the refusal in the record")


# --- rules come and go -----------------------------------------------------------------------------------------------


def each_worker(server: Pierhead, port: str, stack: contextlib.ExitStack) -> list[Wire]:
    """A connection to each worker, signed in as admin."""
    found: dict[int, Wire] = {}

    def all_are_there() -> bool:
        wire = stack.enter_context(as_account(server, ADMIN, port))
        wire.request("GET", "/v2/").expect(200)
        found.setdefault(worker_behind(server, wire), wire)
        return len(found) == len(workers_of(server))

    wait_until(all_are_there, 30, "a connection to each worker")
    return list(found.values())


def test_new_rules_hold_in_every_worker_after_a_reload_and_what_was_pushed_before_can_be_pulled_and_ended(
    old: Old,
) -> None:
    name, sentence = WRONG[0]
    server = old.server
    with contextlib.ExitStack() as stack:
        for wire in each_worker(server, DEV, stack):
            for answer in refusals(wire, name):
                assert (answer.status, answer.message) == (403, sentence)
            assert wire.request("PATCH", old.upload, b"bytes").expect(403).message == sentence
            wire.request("GET", old.upload).expect(204)
            wire.get_manifest(name, "1.0.1").expect(200)
            warned = wire.request("POST", "/v2/orchestrator/brand-new/blobs/uploads/", b"").expect(202)
            assert warned.headers["Warning"] == f'299 - "{WARNED}"'
        for wire in each_worker(server, "main", stack):
            for dry in (False, True):
                refused = promote(wire, image=name, tag="1.0.2", to="prod", dry_run=dry).expect(403).json()
                assert (refused["code"], sentence in refused["message"]) == ("name_refused", True)
    with as_account(server, "svc-promoter") as wire:
        assert promote(wire, f"/{old.waits}/approve").expect(403).json()["code"] == "name_refused"
        # What goes back brings no name in.
        assert promote(wire, image=name, to="uat", back=True).expect(200).json()["tags"] == ["1.0.1"]
    with as_account(server, ADMIN, DEV) as wire:
        wire.request("DELETE", old.upload).expect(204)
        wire.request("DELETE", f"/v2/{name}/manifests/1.0.1").expect(202)


# --- why -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_name", "rule", "verdict"),
    [
        ("cwiq-server", "no-prefix", "no"),
        ("orchestrator/sever", "misspelt", "no"),
        ("orchestrator/brand-new", "not-in-the-catalogue", "goes on"),
        ("orchestrator/server", "naming", "goes on"),
        ("datastore/postgres", "naming", "goes on"),
    ],
)
def test_explain_names_the_rule_that_decides(house: Pierhead, image_name: str, rule: str, verdict: str) -> None:
    query = f"action=push&repository={DEV}&image={image_name}&account={ADMIN}"
    with as_account(house, ADMIN) as wire:
        found = wire.request("GET", f"/api/v1/explain?{query}").expect(200).json()
    assert [one["verdict"] for one in found["steps"] if one["what"] == rule] == [verdict]
    assert found["allowed"] == (verdict != "no")
    assert found["code"] == (None if found["allowed"] else "name_refused")


def test_the_command_explains_too(house: Pierhead) -> None:
    environment = {"PIERHEAD_SERVER": house.url(), "PIERHEAD_USER": CI, "PIERHEAD_PASSWORD": password(CI)}
    code, out, _ = house.run_command("explain", "push", f"{DEV}/orchestrator/sever:1.0.0", environment=environment)
    assert code == 0
    assert f"No: {WRONG[4][1]}" in out
    assert "The rule misspelt for names refuses it" in out
