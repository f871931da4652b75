"""An image goes from stage to stage: bytes unchanged, with all that belongs to it, each once, written once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.cosign import BUNDLE
from tests.peers.fixtures import StartPierhead
from tests.peers.images import artifact, image
from tests.peers.pierhead import Pierhead
from tests.promises.houses import DEV, GROUP, PROD, UAT
from tests.promises.rails import (
    API,
    ENVIRONMENT,
    IMAGE,
    SBOM,
    as_person,
    ask,
    cosign_tag,
    digest_at,
    listed,
    promoted,
    push,
    signature_for_tag,
    staged,
    three_platforms,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    config = staged()
    config["repositories"] |= {"archive": {"type": "hosted"}, "shut": {"type": "hosted", "write_policy": "DENY"}}
    with Pierhead(config, environment=ENVIRONMENT) as started:
        yield started


def blob_files(server: Pierhead) -> set[str]:
    return {str(path) for path in (server.data / "blobs").rglob("*") if path.is_file()}


def test_an_index_of_three_platforms_goes_to_prod_with_two_signatures_and_an_sbom_and_no_blob_is_written(
    server: Pierhead,
) -> None:
    whole = three_platforms(10)
    by_subject = artifact(whole, artifact_type="application/vnd.dev.cosign.artifact.sig.v1+json")
    by_tag, sbom = signature_for_tag(10), artifact(whole.images[1], artifact_type=SBOM, payload=b"spdx")
    of_sbom = artifact(sbom, payload=b"signature of the sbom")
    push(server, IMAGE, "1.0.0", whole)
    for one in (by_subject, sbom, of_sbom):
        push(server, IMAGE, one.digest, one)
    push(server, IMAGE, cosign_tag(whole.digest), by_tag)
    before = blob_files(server)
    with server.wire() as wire:
        stored = wire.request("GET", "/api/v1/storage").expect(200).json()
    for stage, records in (("uat", 0), ("prod", 1)):  # what the promotion to uat left goes along
        found = promoted(server, f"{IMAGE}:1.0.0", stage)
        assert (found["digest"], found["tags"]) == (whole.digest, ["1.0.0"])
        wanted = {"manifests": 8 + records, "platforms": 3, "referrers": 4 + records, "bytes_to_copy": 0}
        assert found["counts"] == wanted
    assert blob_files(server) == before
    assert digest_at(server, DEV, IMAGE, "1.0.0") == whole.digest
    with server.wire() as wire:
        again = wire.request("GET", "/api/v1/storage").expect(200).json()
        assert again["blobs"] - stored["blobs"] <= 2, "the records, in their rows"
        assert again["manifests"] - stored["manifests"] <= 2
        assert again["blob_bytes"] - stored["blob_bytes"] < 8_000
        name = f"{PROD}/{IMAGE}"
        assert wire.get_manifest(name, "1.0.0").expect(200).body == whole.manifest.data
        for one in whole.images:
            assert wire.get_manifest(name, one.digest).expect(200).body == one.manifest.data
            for blob in one.blobs:
                assert wire.get_blob(name, blob.digest).expect(200).body == blob.data
        for one in (by_subject, sbom, of_sbom, by_tag):
            assert wire.get_manifest(name, one.digest).expect(200).body == one.manifest.data
            assert wire.get_blob(name, one.layers[0].digest).expect(200).body == one.layers[0].data
        assert wire.get_manifest(name, cosign_tag(whole.digest)).expect(200).body == by_tag.manifest.data
        for subject, attached in ((whole, by_subject), (whole.images[1], sbom), (sbom, of_sbom)):
            referrers = wire.request("GET", f"/v2/{name}/referrers/{subject.digest}").expect(200).json()["manifests"]
            assert [one["digest"] for one in referrers if one["artifactType"] != BUNDLE] == [attached.digest]


def test_row_121_uat_is_not_skipped_and_the_answer_says_the_way(server: Pierhead) -> None:
    push(server, "orchestrator/skips", "1.0.0", image(seed=20))
    refused = ask(server, "orchestrator/skips:1.0.0", "prod")
    assert refused.status == 404, "uat does not have it"
    assert "`pierhead promote orchestrator/skips:1.0.0 --to uat`" in refused.json()["message"]
    refused = ask(server, "orchestrator/skips:1.0.0", "prod", from_="dev")
    problem = refused.expect(409).json()
    assert problem["code"] == "promotion_gates_shut"
    assert "pierhead promote orchestrator/skips:1.0.0 --to uat" in problem["message"]
    assert digest_at(server, PROD, "orchestrator/skips", "1.0.0") is None
    promoted(server, "orchestrator/skips:1.0.0", "uat")
    promoted(server, "orchestrator/skips:1.0.0", "prod", from_="dev")


def test_row_120_the_digest_that_was_named_is_promoted_or_nothing(server: Pierhead) -> None:
    name, one, two = "orchestrator/named", image(seed=30), image(seed=31)
    push(server, name, "1.0.0", one)
    push(server, name, "1.0.0", two)
    refused = ask(server, f"{name}:1.0.0", "uat", digest=one.digest).expect(409).json()
    assert refused["code"] == "promotion_tag_moved"
    assert one.digest in refused["message"]
    assert two.digest in refused["message"]
    assert digest_at(server, UAT, name, "1.0.0") is None
    assert promoted(server, f"{name}:1.0.0", "uat", digest=two.digest)["digest"] == two.digest
    assert digest_at(server, UAT, name, "1.0.0") == two.digest


def test_row_123_the_same_request_again_is_answered_the_same_with_a_key_and_without(server: Pierhead) -> None:
    name = "orchestrator/again"
    push(server, name, "1.0.0", image(seed=40))
    first = ask(server, f"{name}:1.0.0", "uat", headers={"Idempotency-Key": "job-1"}).expect(200).json()
    again = ask(server, f"{name}:1.0.0", "uat", headers={"Idempotency-Key": "job-1"}).expect(200).json()
    without = ask(server, f"{name}:1.0.0", "uat").expect(200).json()
    assert first == again == without
    other = ask(server, f"{name}:1.0.0", "prod", headers={"Idempotency-Key": "job-1"})
    assert other.expect(422).json()["code"] == "idempotency_key_taken"
    assert len(listed(server, f"?image={name}")) == 1


def test_a_tag_that_is_written_once_is_refused_to_other_bytes_and_both_digests_are_named(server: Pierhead) -> None:
    name, one, two = "orchestrator/once", image(seed=50), image(seed=51)
    push(server, name, "1.0.0", one)
    promoted(server, f"{name}:1.0.0", "uat")
    push(server, name, "1.0.0", two)
    refused = ask(server, f"{name}:1.0.0", "uat").expect(409).json()
    assert refused["code"] == "promotion_tag_taken"
    assert one.digest in refused["message"]
    assert two.digest in refused["message"]
    assert digest_at(server, UAT, name, "1.0.0") == one.digest
    found = promoted(server, f"{name}:1.0.0", "uat", as_=["1.0.1"])
    assert found["tags"] == ["1.0.1"]
    assert digest_at(server, UAT, name, "1.0.1") == two.digest


def test_what_a_stage_holds_is_pulled_by_name_and_a_roll_back_moves_that_and_no_tag(server: Pierhead) -> None:
    name, one, two = "orchestrator/back", image(seed=60), image(seed=61)
    for tag, what in (("1.0.0", one), ("1.1.0", two)):
        push(server, name, tag, what)
        promoted(server, f"{name}:{tag}", "uat")
        promoted(server, f"{name}:{tag}", "prod")
    assert digest_at(server, PROD, name, "current") == two.digest
    with server.wire(GROUP) as wire:
        assert wire.get_manifest(name, "current").expect(200).body == two.manifest.data
    found = promoted(server, name, "prod", back=True, comment="logins fail")
    assert (found["kind"], found["digest"], found["before"], found["comment"]) == (
        "back", one.digest, two.digest, "logins fail",
    )  # fmt: skip
    assert found["current"]["now"]["tag"] == "1.0.0"
    assert found["current"]["before"]["digest"] == two.digest
    assert digest_at(server, PROD, name, "current") == one.digest
    assert digest_at(server, PROD, name, "1.1.0") == two.digest
    # Nor does anybody move it as a tag, past the gates.
    with server.wire() as wire:
        path = f"/api/v1/repositories/{PROD}/images/{name}/-/tags/current/rollback"
        problem = wire.request("POST", path, b"{}", {"Content-Type": "application/json"}).expect(403).json()
    assert (problem["code"], f"`pierhead promote {name} --to {PROD} --back`" in problem["message"]) == (
        "pointer_reserved", True,
    )  # fmt: skip
    # A job that is run again does not move it: to go back is asked for as that.
    same = ask(server, f"{name}:1.1.0", "prod").expect(200).json()
    assert (same["state"], same["current"]["now"]["digest"]) == ("done", one.digest)
    assert digest_at(server, PROD, name, "current") == one.digest
    promoted(server, name, "prod", back=True, back_to="1.1.0")
    assert digest_at(server, PROD, name, "current") == two.digest
    refused = ask(server, name, "prod", back=True, back_to="9.9.9").expect(409).json()
    assert refused["code"] == "nothing_before"


def test_a_stage_is_emptied_for_a_service_that_is_no_more_and_filled_again_by_going_back(server: Pierhead) -> None:
    name, one = "orchestrator/ended", image(seed=65)
    push(server, name, "1.0.0", one)
    for stage in ("uat", "prod"):
        promoted(server, f"{name}:1.0.0", stage)
    refused = ask(server, name, "prod", who="dora", empty=True).expect(403).json()
    assert "dora may not promote" in refused["message"]
    for wrong in ({"to": "dev"}, {"to": "archive"}, {"to": "prod", "tag": "1.0.0"}, {"to": "prod", "back": True}):
        ask(server, name, **{"empty": True, **wrong}).expect(400)  # type: ignore[arg-type]
    assert digest_at(server, PROD, name, "current") == one.digest
    found = ask(server, name, "prod", empty=True, comment="ended").expect(200).json()
    assert (found["emptied"], found["to"]["stage"], found["held"]["digest"]) == (True, "prod", one.digest)
    assert digest_at(server, PROD, name, "current") is None
    assert digest_at(server, PROD, name, "1.0.0") == one.digest
    with as_person(server, "anna") as wire:
        (row,) = wire.request("GET", f"/api/v1/board?service={name}").expect(200).json()["items"]
        assert [stage["holds"] is None for stage in row["stages"]] == [False, False, True]
    with as_person(server, "admin") as wire:
        (event,) = wire.request("GET", "/api/v1/audit?kind=stage%20emptied").expect(200).json()["items"]
        assert (event["account"], event["digest"], event["comment"]) == ("anna", one.digest, "ended")
        path = f"/api/v1/repositories/{PROD}/images/{name}/-/tags/current/restore"
        problem = wire.request("POST", path, b"{}", {"Content-Type": "application/json"}).expect(403).json()
        assert problem["code"] == "pointer_reserved", "the way back is --back"
    assert ask(server, name, "prod", empty=True).expect(200).json()["emptied"] is False
    # A job that is run again fills nothing.
    assert ask(server, f"{name}:1.0.0", "prod").expect(200).json()["current"]["now"] is None
    assert promoted(server, name, "prod", back=True)["digest"] == one.digest
    assert digest_at(server, PROD, name, "current") == one.digest


def test_what_a_stage_holds_is_not_deleted_nor_is_its_name(server: Pierhead) -> None:
    name, one = "orchestrator/held", image(seed=70)
    push(server, name, "1.0.0", one)
    promoted(server, f"{name}:1.0.0", "uat")
    with server.wire() as wire:
        refused = wire.request("DELETE", f"/v2/{UAT}/{name}/manifests/current")
        assert (refused.status, refused.code) == (403, "DENIED")
        wire.request("DELETE", f"/v2/{UAT}/{name}/manifests/1.0.0").expect(202)
        refused = wire.request("DELETE", f"/v2/{UAT}/{name}/manifests/{one.digest}")
        assert (refused.status, refused.code) == (409, "DENIED")
        assert "holds now" in refused.message
    assert digest_at(server, UAT, name, "current") == one.digest


def test_promoting_needs_the_right_at_both_ends_and_says_who_may_not(server: Pierhead) -> None:
    push(server, "orchestrator/rights", "1.0.0", image(seed=80))
    refused = ask(server, "orchestrator/rights:1.0.0", "uat", "svc-deploy").expect(403).json()
    assert "svc-deploy may not promote" in refused["message"]
    unseen = ask(server, "orchestrator/rights:1.0.0", "uat", "svc-auditor").expect(400).json()
    assert "Known: none that you may see" in unseen["message"]
    assert listed(server, "?image=orchestrator/rights", "svc-auditor") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"to": "uat"}, 400, "body_invalid"),
        ({"image": "a", "to": "nowhere", "tag": "1"}, 400, "body_invalid"),
        ({"image": "A", "to": "uat", "tag": "1"}, 400, "name_invalid"),
        ({"image": "a", "to": "uat", "tag": "-1"}, 400, "tag_invalid"),
        ({"image": "a", "to": "uat", "digest": "x"}, 400, "digest_invalid"),
        ({"image": "a", "to": "dev", "tag": "1"}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "from": "uat"}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "from": "docker-group"}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "as": []}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "as": "x"}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "back": True}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "back": True}, 409, "nothing_before"),
        ({"image": "orchestrator/none", "to": "uat", "tag": "1"}, 404, "manifest_unknown"),
        ({"image": "a", "to": "uat", "tag": "1", "comment": "x" * 1001}, 400, "body_invalid"),
        ({"image": "a", "to": "uat", "tag": "1", "more": 1}, 400, "body_invalid"),
    ],
)
def test_a_request_that_cannot_be_understood_says_why(
    server: Pierhead, body: dict[str, object], status: int, code: str
) -> None:
    with as_person(server, "anna") as wire:
        sent = {"Content-Type": "application/json"}
        answer = wire.request("POST", API, json.dumps(body).encode(), sent)
    assert (answer.status, answer.json()["code"]) == (status, code), answer.json()


def test_a_repository_that_is_no_stage_takes_promotions_with_from_said_and_holds_nothing_now(server: Pierhead) -> None:
    name, one = "orchestrator/kept", image(seed=90)
    push(server, name, "1.0.0", one)
    missing = ask(server, f"{name}:1.0.0", "archive").expect(400).json()
    assert "`from` has to be said" in missing["message"]
    found = promoted(server, f"{name}:1.0.0", "archive", from_="dev", follow_referrers=True)
    assert (found["to"], found["gates"], found["current"]) == (
        {"stage": None, "repository": "archive"}, [], {"now": None, "before": None},
    )  # fmt: skip
    assert digest_at(server, "archive", name, "current") is None
    later = artifact(one, payload=b"later")
    push(server, name, later.digest, later)
    assert digest_at(server, "archive", name, later.digest) == later.digest
    assert ask(server, f"{name}:1.0.0", "shut", from_="dev").expect(403).json()["code"] == "repository_read_only"


def test_promotions_are_listed_page_by_page_newest_first(server: Pierhead) -> None:
    name = "orchestrator/pages"
    for number in range(5):
        push(server, name, f"1.{number}", image(seed=95 + number))
        promoted(server, f"{name}:1.{number}", "uat")
    found: list[str] = []
    query = f"?image={name}&to=uat&limit=2"
    with as_person(server, "anna") as wire:
        page = wire.request("GET", API + query).expect(200).json()
        found += [one["tags"][0] for one in page["items"]]
        while page["next"]:
            page = wire.request("GET", f"{API}{query}&cursor={page['next']}").expect(200).json()
            found += [one["tags"][0] for one in page["items"]]
        assert wire.request("GET", f"{API}?cursor=eA").status == 400
    assert found == ["1.4", "1.3", "1.2", "1.1", "1.0"]


def race(server: Pierhead) -> None:
    names = [f"orchestrator/race-{number}" for number in range(20)]
    for number, name in enumerate(names):
        push(server, name, "1.0.0", image(seed=200 + number))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: promoted(server, f"{name}:1.0.0", "uat"), names * 10))
    assert len({one["id"] for one in found}) == 20
    done = [row for row in listed(server, "?limit=1000") if row["image"] in names]
    assert len(done) == 20
    for number, name in enumerate(names):
        assert digest_at(server, UAT, name, "1.0.0") == image(seed=200 + number).digest
    with server.wire() as wire:
        events = wire.request("GET", "/api/v1/audit?kind=promoted&limit=1000").expect(200).json()["items"]
    assert len([one for one in events if one["image"] in names]) == 20


def test_of_200_promotions_of_20_images_at_once_each_is_done_once(server: Pierhead) -> None:
    race(server)


def test_three_workers_do_each_once_as_well(start_pierhead: StartPierhead) -> None:
    race(start_pierhead(staged(), environment=ENVIRONMENT, arguments=["--workers", "3"]))
