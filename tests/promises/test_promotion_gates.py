"""Gates are judged where it is decided; whoever is refused reads how each is opened; approvals are of other people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from pierhead.cli.promotion_words import plan_lines
from pierhead.cli.tables import Look
from tests.peers.images import artifact, image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.promises.houses import PROD, UAT
from tests.promises.rails import (
    API,
    ENVIRONMENT,
    PASSWORD,
    SBOM,
    as_person,
    ask,
    decide,
    digest_at,
    listed,
    promoted,
    push,
    staged,
    three_platforms,
)

UAT_GATES = [{"who": {"roles": ["promoter"]}}, {"tags": ["{version}"]}, {"attached": [SBOM]}]
PROD_GATES = [{"approvals": 2}, {"frozen": {"since": "2020-01-01", "until": "2020-02-01"}}]


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(staged(UAT_GATES, PROD_GATES), environment=ENVIRONMENT) as started:
        yield started


def in_uat(server: Pierhead, name: str, tag: str, seed: int) -> str:
    """Pushed with an SBOM, and promoted to uat; the digest."""
    one = image(seed=seed)
    push(server, name, tag, one)
    sbom = artifact(one, artifact_type=SBOM)
    push(server, name, sbom.digest, sbom)
    promoted(server, f"{name}:{tag}", "uat")
    return one.digest


def test_a_refusal_lists_every_gate_that_is_shut_and_stands_in_the_record(server: Pierhead) -> None:
    name = "gates/all"
    push(server, name, "latest", image(seed=300))
    problem = ask(server, f"{name}:latest", "uat", "admin").expect(403).json()
    assert problem["code"] == "promotion_forbidden"
    assert [(one["gate"], one["state"]) for one in problem["about"]["gates"]] == [
        ("stage_before", "passes"), ("who", "refuses"), ("tags", "refuses"), ("attached", "refuses"),
    ]  # fmt: skip
    for words in ("3 gates are shut", "Let role promoter ask", "--as", SBOM):
        assert words in problem["message"]
    assert digest_at(server, UAT, name, "latest") is None
    with server.wire() as wire:
        events = wire.request("GET", f"/api/v1/audit?image={name}").expect(200).json()["items"]
    assert [one["kind"] for one in events] == ["promotion refused", "push"]
    assert events[0]["gates"] == problem["about"]["gates"]


def test_row_122_what_has_to_be_attached_and_is_not_is_422_and_opens_when_it_is(server: Pierhead) -> None:
    name, whole = "gates/sbom", three_platforms(310)
    push(server, name, "1.0.0", whole)
    problem = ask(server, f"{name}:1.0.0", "uat").expect(422).json()
    assert problem["code"] == "promotion_unproven"
    assert digest_at(server, UAT, name, "1.0.0") is None
    of_a_platform = artifact(whole.images[2], artifact_type=SBOM)
    push(server, name, of_a_platform.digest, of_a_platform)
    promoted(server, f"{name}:1.0.0", "uat")


def test_a_promotion_waits_for_two_others_and_is_done_with_the_second(server: Pierhead) -> None:
    name = "gates/waits"
    digest = in_uat(server, name, "1.0.0", 320)
    asked = ask(server, f"{name}:1.0.0", "prod", comment="fixes the login").expect(200).json()
    number = asked["id"]
    assert (asked["state"], asked["expires"] is not None) == ("waiting", True)
    assert f"pierhead approve {number}" in str(asked["gates"])
    assert ask(server, f"{name}:1.0.0", "prod").expect(200).json()["id"] == number
    assert decide(server, number, "approve", "anna").expect(403).json()["code"] == "own_promotion"
    assert decide(server, number, "approve", "svc-deploy").expect(403).json()["code"] == "denied"
    assert decide(server, number, "approve", "svc-auditor").expect(404).json()["code"] == "promotion_unknown"
    for _ in range(2):
        first = decide(server, number, "approve", "ben", comment="smoke tests fine").expect(200).json()
        assert (first["state"], len(first["approvals"])) == ("waiting", 1)
    assert digest_at(server, PROD, name, "1.0.0") is None
    # What is done is what was asked for, whatever the tag is by then.
    push(server, name, "1.0.0", image(seed=321))
    done = decide(server, number, "approve", "chidi").expect(200).json()
    assert (done["state"], done["digest"], done["by"]) == ("done", digest, "anna")
    assert digest_at(server, PROD, name, "1.0.0") == digest_at(server, PROD, name, "current") == digest
    assert decide(server, number, "approve", "admin").expect(409).json()["code"] == "promotion_over"
    with server.wire() as wire:
        events = wire.request("GET", f"/api/v1/audit?repository={PROD}&image={name}").expect(200).json()["items"]
    assert [(one["kind"], one["account"]) for one in events] == [
        ("promotion recorded", "anna"), ("promoted", "anna"), ("promotion approved", "chidi"),
        ("promotion approved", "ben"), ("promotion requested", "anna"),
    ]  # fmt: skip
    assert events[1]["approvals"] == ["ben", "chidi"]


def test_one_that_is_rejected_is_over_and_may_be_asked_for_anew(server: Pierhead) -> None:
    name = "gates/rejected"
    in_uat(server, name, "1.0.0", 330)
    number = ask(server, f"{name}:1.0.0", "prod").expect(200).json()["id"]
    rejected = decide(server, number, "reject", "ben", reason="not on a Friday").expect(200).json()
    assert rejected["state"] == "rejected"
    assert rejected["approvals"][0]["comment"] == "not on a Friday"
    again = ask(server, f"{name}:1.0.0", "prod").expect(200).json()
    assert (again["state"], again["id"] > number) == ("waiting", True)
    assert decide(server, again["id"], "reject", "anna").expect(200).json()["state"] == "rejected"
    assert [one["id"] for one in listed(server, f"?image={name}&state=rejected")] == [again["id"], number]


def test_a_roll_back_passes_the_gates_as_well(server: Pierhead) -> None:
    name = "gates/back"
    for seed, tag in ((340, "1.0.0"), (341, "1.1.0")):
        in_uat(server, name, tag, seed)
        number = ask(server, f"{name}:{tag}", "prod").expect(200).json()["id"]
        for who in ("ben", "chidi"):
            decide(server, number, "approve", who).expect(200)
    dry = ask(server, name, "prod", back=True, dry_run=True).expect(200).json()
    head, current, *_ = plan_lines(dry, Look(terminal=False, width=120, color=False))
    assert head.startswith(f"{name} 1.0.0: prod goes back")
    assert f"->  1.0.0 {image(seed=340).digest[7:15]}" in current
    asked = ask(server, name, "prod", back=True).expect(200).json()
    assert (asked["kind"], asked["state"]) == ("back", "waiting")
    states = [decide(server, asked["id"], "approve", who).expect(200).json()["state"] for who in ("ben", "chidi")]
    assert states == ["waiting", "done"]
    assert digest_at(server, PROD, name, "current") == image(seed=340).digest


def test_a_dry_run_says_what_each_gate_says_and_changes_nothing(server: Pierhead) -> None:
    name = "gates/dry"
    digest = in_uat(server, name, "1.0.0", 350)
    found = ask(server, f"{name}:1.0.0", "prod", dry_run=True).expect(200).json()
    assert (found["would_run"], found["would_wait"]) == (False, True)
    assert found["plan"]["tags"] == [{"name": "1.0.0", "now": None, "after": digest}]
    assert (found["plan"]["counts"]["referrers"], found["plan"]["bytes_to_copy"]) == (2, 0), "the SBOM, uat's record"
    assert not listed(server, f"?image={name}&to=prod")
    with as_person(server, "ben") as wire:
        query = f"action=promote&image={name}&reference=1.0.0&to=prod&account=ben"
        told = wire.request("GET", f"/api/v1/explain?{query}").expect(200).json()
        assert told["allowed"] is True
        assert any(step["what"] == "gate approvals" and "0 of 2" in step["says"] for step in told["steps"])
        assert "the tag 1.0.0 is new there" in str(told["steps"])
        query = f"action=promote&image={name}&reference=1.0.0&to=uat"
        told = wire.request("GET", f"/api/v1/explain?{query}").expect(200).json()
        assert f"the tag 1.0.0 is {digest} there" in str(told["steps"])
        query = f"action=promote&image={name}&reference=1.0.0&to=prod&from=dev"
        assert wire.request("GET", f"/api/v1/explain?{query}").expect(200).json()["allowed"] is True
        told = wire.request("GET", "/api/v1/explain?action=promote&image=gates/all&reference=latest&to=uat").json()
        assert (told["allowed"], told["code"]) == (False, "promotion_unproven")


def test_the_commands_say_it_to_people_and_to_programs(server: Pierhead) -> None:
    name = "gates/commands"
    in_uat(server, name, "1.0.0", 360)
    anna = {"PIERHEAD_USER": "anna", "PIERHEAD_PASSWORD": PASSWORD}
    # With the repository before the name, as other commands take it.
    whole = f"{UAT}/{name}:1.0.0"
    code, out, err = server.run_command("promote", whole, "--to", "prod", "--dry-run", environment=anna)
    assert (code, f"{name} 1.0.0: uat -> prod" in out, "(..)" in out) == (0, True, True)
    assert "It would wait for approvals" in err
    code, out, err = server.run_command("promote", f"{name}:1.0.0", "--to", "prod", "-o", "json", environment=anna)
    number = str(json.loads(out)["id"])
    assert (code, f"pierhead approve {number}" in err) == (0, True)
    code, out, _ = server.run_command("promotions", "--state", "waiting", "--image", name)
    assert code == 0
    assert number in out
    for who in ("ben", "chidi"):
        person = {"PIERHEAD_USER": who, "PIERHEAD_PASSWORD": PASSWORD}
        code, out, _ = server.run_command("approve", number, "--comment", "fine", environment=person)
        assert code == 0
    assert out.startswith(f"{name} 1.0.0: uat -> prod  done")
    code, out, err = server.run_command("promote", name, "--to", "prod", "--back", environment=anna)
    assert (code, "held nothing else" in err) == (1, True)
    code, out, err = server.run_command("promote", f"{name}:latest", "--to", "uat", environment=anna)
    assert (code, err.count("\n")) == (1, 1)
    code, out, _ = server.run_command("promotions", number)
    assert (code, "approved   ben" in out) == (0, True)
    code, out, err = server.run_command("promotions", "--state", "expired", "--image", name)
    assert (code, out, err) == (0, "", "No promotion fits.\n")


def test_a_command_waits_until_it_is_decided(server: Pierhead) -> None:
    name = "gates/waiting"
    anna = {"PIERHEAD_USER": "anna", "PIERHEAD_PASSWORD": PASSWORD}
    for seed, tag in ((390, "1.0.0"), (391, "1.1.0")):
        in_uat(server, name, tag, seed)

    def numbers() -> dict[str, int]:
        return {row["tags"][0]: row["id"] for row in listed(server, f"?image={name}&state=waiting")}

    with ThreadPoolExecutor(2) as pool:
        good, bad = (
            pool.submit(server.run_command, "promote", f"{name}:{tag}", "--to", "prod", "--wait", environment=anna)
            for tag in ("1.0.0", "1.1.0")
        )
        wait_until(lambda: len(numbers()) == 2, 30, "both are asked for")
        asked = numbers()
        for who in ("ben", "chidi"):
            decide(server, asked["1.0.0"], "approve", who).expect(200)
        decide(server, asked["1.1.0"], "reject", "ben", reason="too late").expect(200)
        code, out, err = good.result(60)
        assert (code, "prod  done" in out, f"pierhead approve {asked['1.0.0']}" in err) == (0, True, True)
        code, out, err = bad.result(60)
        assert (code, "was rejected by ben: too late." in err, f"pierhead approve {asked['1.1.0']}" in err) == (
            1, True, True,
        )  # fmt: skip


def test_row_122_an_image_that_is_not_whole_is_422_and_nothing_of_it_arrives(server: Pierhead) -> None:
    images = {what: three_platforms(seed) for what, seed in (("layer", 370), ("child", 375))}
    for what, whole in images.items():
        push(server, f"gates/{what}", "1.0.0", whole)
        sbom = artifact(whole, artifact_type=SBOM)
        push(server, f"gates/{what}", sbom.digest, sbom)
    lost = {"layer": images["layer"].images[1].layers[0].digest, "child": images["child"].images[1].digest}
    for what, digest in lost.items():
        take_away(server.data, digest, what)
        problem = ask(server, f"gates/{what}:1.0.0", "uat").expect(422).json()
        assert problem["code"] == "promotion_incomplete"
        assert digest in problem["message"]
        assert digest_at(server, UAT, f"gates/{what}", "1.0.0") is None
        assert digest_at(server, UAT, f"gates/{what}", images[what].images[0].digest) is None
        assert listed(server, f"?image=gates/{what}") == []


def take_away(data: Path, digest: str, what: str) -> None:
    """As the checks of stored bytes leave a damaged blob, and as a child that is gone looks."""
    raw = bytes.fromhex(digest.partition(":")[2])
    connection = apsw.Connection(str(data / "pierhead.db"))
    connection.set_busy_timeout(10_000)
    if what == "layer":
        connection.execute("UPDATE blobs SET state=0, generation='', body=NULL WHERE digest=?", (raw,))
    else:
        connection.execute(
            "DELETE FROM manifest_links WHERE manifest_id=(SELECT id FROM manifests WHERE digest=?)", (raw,)
        )
    connection.close()


def test_one_that_waits_for_too_long_expires_and_cannot_be_approved(server: Pierhead) -> None:
    in_uat(server, "gates/late", "1.0.0", 380)
    number = ask(server, "gates/late:1.0.0", "prod").expect(200).json()["id"]
    assert server.stop() == 0
    connection = apsw.Connection(str(server.data / "pierhead.db"))
    connection.execute("UPDATE promotions SET expires=1 WHERE id=?", (number,))
    connection.close()
    server.start()
    assert decide(server, number, "approve", "ben").expect(409).json()["code"] == "promotion_over"

    def is_told() -> bool:
        with server.wire() as wire:
            found = wire.request("GET", "/api/v1/audit?kind=promotion%20expired").expect(200).json()["items"]
            return [one["promotion"] for one in found] == [number]

    wait_until(is_told, 20, "the record tells of it")
    assert [one["state"] for one in listed(server, "?image=gates/late&to=prod")] == ["expired"]
    assert ask(server, "gates/late:1.0.0", "prod").expect(200).json()["id"] > number


def test_a_promotion_is_one_address_and_a_number_that_is_none_is_404(server: Pierhead) -> None:
    with as_person(server, "anna") as wire:
        assert wire.request("GET", f"{API}/999999").status == 404
        assert wire.request("GET", f"{API}?state=odd").status == 400
