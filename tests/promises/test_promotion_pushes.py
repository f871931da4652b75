"""Clients that know nothing of promotion: copies between stages, old suffixes, signatures that come later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.clients import Skopeo
from tests.peers.images import Blob, artifact, image
from tests.peers.pierhead import Pierhead
from tests.promises.houses import DEV, PROD, UAT
from tests.promises.rails import (
    ENVIRONMENT,
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

PROMOTION = {"suffixes": {"-uat": "uat", "-prod": "prod"}}
NAMING = [
    {
        "name": "no-old",
        "pattern": "pushes/old-{project}",
        "repositories": [UAT],
        "message": "Nothing old goes on.",
        "suggestion": "pushes/{project}",
    },
    {"name": "odd", "pattern": "pushes/odd-*", "repositories": [UAT], "action": "warn", "message": "How odd."},
]


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    config = staged([{"tags": ["{version}"]}], [{"approvals": 1}], promotion=PROMOTION, naming=NAMING)
    config["stages"]["uat"]["follow_referrers"] = True
    with Pierhead(config, environment=ENVIRONMENT) as started:
        yield started


def retag(server: Pierhead, name: str, tag: str, manifest: Blob, who: str = "admin", where: str = DEV) -> int:
    """What a copy comes to when the blobs are there: one PUT of the manifest."""
    with as_person(server, who) as wire:
        return wire.put_manifest(f"{where}/{name}", tag, manifest).status


def test_a_push_under_a_suffix_is_a_promotion_with_all_gates(server: Pierhead) -> None:
    name, one = "pushes/suffix", image(seed=400)
    push(server, name, "1.0.0", one)
    assert retag(server, name, "1.0.0-uat", one.manifest) == 201
    assert digest_at(server, UAT, name, "1.0.0") == digest_at(server, DEV, name, "1.0.0-uat") == one.digest
    (row,) = listed(server, f"?image={name}")
    assert (row["kind"], row["state"], row["tags"], row["by"]) == ("suffix", "done", ["1.0.0"], "admin")
    assert retag(server, name, "1.0.0-uat", one.manifest) == 201
    assert len(listed(server, f"?image={name}")) == 1
    with server.wire() as wire:
        refused = wire.put_manifest(f"{DEV}/{name}", "latest-uat", one.manifest)
        assert (refused.status, refused.code) == (409, "DENIED")
        assert "tag of the form {version}" in refused.message
        refused = wire.put_manifest(f"{DEV}/{name}", "1.0.0-prod", one.manifest)
        assert (refused.status, refused.code) == (409, "DENIED")
        assert "1 approval, not by admin" in refused.message
        events = wire.request("GET", f"/api/v1/audit?image={name}&kind=promotion%20refused").expect(200).json()
    assert [(one["to"], one["kind_of"]) for one in events["items"]] == [("prod", "suffix"), ("uat", "suffix")]
    assert digest_at(server, DEV, name, "latest-uat") is None, "nothing of a push that is refused is written"


def test_a_suffix_of_a_later_stage_says_which_one_comes_first(server: Pierhead) -> None:
    name, one = "pushes/early", image(seed=405)
    push(server, name, "1.0.0", one)
    with server.wire() as wire:
        refused = wire.put_manifest(f"{DEV}/{name}", "1.0.0-prod", one.manifest)
    assert (refused.status, refused.code) == (409, "DENIED")
    assert "uat does not hold it" in refused.message


def test_a_suffix_gives_nobody_a_right_that_they_do_not_have(server: Pierhead) -> None:
    name, one = "pushes/rights", image(seed=410)
    push(server, name, "1.0.0", one)
    with as_person(server, "dora", DEV) as wire:
        refused = wire.put_manifest(name, "1.0.0-uat", one.manifest)
        assert (refused.status, refused.code) == (403, "DENIED")
        assert "The tag means the stage uat" in refused.message
        assert wire.put_manifest(name, "1.0.1", one.manifest).status == 201
    assert digest_at(server, UAT, name, "1.0.0") is None


def test_a_promotion_in_any_form_is_held_to_the_rules_for_names_of_where_it_goes(server: Pierhead) -> None:
    name, one = "pushes/old-server", image(seed=415)
    push(server, name, "1.0.0", one)
    why = "Nothing old goes on."
    sentence = f"{name} does not go to uat, where it would keep its name. {why} Push to pushes/server."
    for more in ({}, {"dry_run": True}, {"as_": ["2.0.0"]}):
        problem = ask(server, f"{name}:1.0.0", "uat", **more).expect(403).json()
        assert (problem["code"], problem["message"]) == ("name_refused", sentence)
        assert problem["about"]["push_to"] == "pushes/server"
    with server.wire() as wire:
        suffix = wire.put_manifest(f"{DEV}/{name}", "1.0.0-uat", one.manifest)
        copy = wire.put_manifest(f"{UAT}/{name}", "1.0.0", one.manifest)
        asked = f"action=promote&to=uat&image={name}&reference=1.0.0&account=anna"
        explained = wire.request("GET", f"/api/v1/explain?{asked}").expect(200).json()
    assert (suffix.status, suffix.code, suffix.message) == (403, "DENIED", sentence)
    assert (copy.status, copy.code, copy.message) == (403, "DENIED", f"{why} Push to pushes/server.")
    assert (explained["code"], explained["steps"][-1]["what"]) == ("name_refused", "no-old")
    assert digest_at(server, DEV, name, "1.0.0-uat") is None, "nothing of a push that is refused is written"
    assert digest_at(server, UAT, name, one.digest) is None
    assert listed(server, f"?image={name}") == []


def test_a_promotion_under_a_name_that_is_warned_about_is_done_and_recorded_with_it(server: Pierhead) -> None:
    push(server, "pushes/odd-one", "1.0.0", image(seed=416))
    promoted(server, "pushes/odd-one:1.0.0", "uat")
    with server.wire() as wire:
        events = wire.request("GET", "/api/v1/audit?image=pushes/odd-one&kind=promoted").expect(200).json()["items"]
    assert [one["naming"] for one in events] == [{"rule": "odd", "message": "How odd."}]


def test_a_copy_between_stages_by_any_client_is_known_by_its_digest(server: Pierhead, skopeo: Skopeo) -> None:
    name, whole = "pushes/copy", three_platforms(420)
    push(server, name, "1.0.0", whole)
    sbom = artifact(whole, artifact_type=SBOM)
    push(server, name, sbom.digest, sbom)
    source, target = (f"docker://{server.address()}/{where}/{name}:1.0.0" for where in (DEV, UAT))
    skopeo.login(server.address(), "admin", server.admin_password)
    skopeo("copy", "--all", source, target)
    assert digest_at(server, UAT, name, "1.0.0") == digest_at(server, UAT, name, "current") == whole.digest
    assert digest_at(server, UAT, name, sbom.digest) == sbom.digest
    (row,) = listed(server, f"?image={name}")
    assert (row["kind"], row["from"]["stage"], row["to"]["stage"], row["counts"]["platforms"]) == (
        "copy", "dev", "uat", 3,
    )  # fmt: skip
    assert row["through"] is not None
    with server.wire() as wire:
        refused = wire.put_manifest(f"{UAT}/{name}", "newest", whole.manifest)
        assert (refused.status, refused.code) == (409, "DENIED")
        assert "tag of the form {version}" in refused.message
    # skopeo answers a refusal with the same index as Docker's list, which has another digest.
    source, target = (f"docker://{server.address()}/{where}/{name}:1.0.0" for where in (UAT, PROD))
    told = skopeo("copy", "--all", source, target, check=False)
    assert (told.returncode, "1 approval, not by admin" in told.stderr) == (1, True), told.stderr
    assert "vnd.docker.distribution.manifest.list.v2+json" in told.stderr, "it was tried"
    assert f"Promote the index that uat holds: pierhead promote {name}:1.0.0 --to prod" in told.stderr
    assert digest_at(server, PROD, name, "1.0.0") is None
    # What came before the index stays as manifests without a tag do, until somebody deletes it.
    parts = [one.digest for one in whole.images]
    assert [digest_at(server, PROD, name, one) for one in parts] == parts
    with server.wire() as wire:
        for one in parts:
            wire.request("DELETE", f"/v2/{PROD}/{name}/manifests/{one}").expect(202)
    assert [digest_at(server, PROD, name, one) for one in parts] == [None, None, None]


def test_what_the_stage_before_does_not_hold_is_a_push_as_ever_and_only_for_admin(server: Pierhead) -> None:
    name, one = "pushes/direct", image(seed=430)
    with server.wire() as wire:
        wire.push(f"{PROD}/{name}", "1.0.0", one)
    assert listed(server, f"?image={name}") == []
    with as_person(server, "anna") as wire:
        refused = wire.request("POST", f"/v2/{PROD}/{name}/blobs/uploads/", b"")
        assert (refused.status, refused.code) == (403, "DENIED")
        part = wire.put_manifest(f"{PROD}/{name}", one.digest, one.manifest)
    assert f"`pierhead promote {name}:TAG --to prod`" in part.message, "a digest alone may be a part of an index"


def test_the_name_of_what_a_stage_holds_cannot_be_pushed_there(server: Pierhead) -> None:
    name, one = "pushes/pointer", image(seed=440)
    push(server, name, "current", one)  # in dev it is a tag as any other
    with server.wire() as wire:
        for blob in one.blobs:
            wire.push_blob(f"{UAT}/{name}", blob)
        refused = wire.put_manifest(f"{UAT}/{name}", "current", one.manifest)
        assert (refused.status, refused.code) == (403, "DENIED")
        assert "set by promotions alone" in refused.message
    assert ask(server, f"{name}:current", "uat").expect(403).json()["code"] == "pointer_reserved"
    promoted(server, f"{name}:current", "uat", as_=["1.0.0"])


def test_what_is_attached_later_follows_where_the_stage_says_so(server: Pierhead) -> None:
    name, whole = "pushes/follows", three_platforms(450)
    push(server, name, "1.0.0", whole)
    promoted(server, f"{name}:1.0.0", "uat")
    by_subject, by_tag = artifact(whole.images[0], payload=b"later"), signature_for_tag(450)
    push(server, name, by_subject.digest, by_subject)
    push(server, name, cosign_tag(whole.digest), by_tag)
    of_that = artifact(by_subject, payload=b"on the signature")
    push(server, name, of_that.digest, of_that)
    with server.wire() as wire:
        at = f"{UAT}/{name}"
        for one in (by_subject, by_tag, of_that):
            assert wire.get_manifest(at, one.digest).expect(200).body == one.manifest.data
            assert wire.get_blob(at, one.layers[0].digest).expect(200).body == one.layers[0].data
        assert wire.get_manifest(at, cosign_tag(whole.digest)).expect(200).body == by_tag.manifest.data
        found = wire.request("GET", f"/v2/{at}/referrers/{whole.images[0].digest}").expect(200).json()["manifests"]
        assert [one["digest"] for one in found] == [by_subject.digest]
        events = wire.request("GET", f"/api/v1/audit?image={name}&kind=referrer%20promoted").expect(200).json()
        assert len(events["items"]) == 3
    other = "pushes/stays"
    push(server, other, "1.0.0", image(seed=455))
    assert digest_at(server, PROD, other, "1.0.0") is None


def test_a_signature_made_in_the_stage_itself_is_not_overwritten(server: Pierhead) -> None:
    name, one = "pushes/own", image(seed=460)
    push(server, name, "1.0.0", one)
    theirs, own = signature_for_tag(460), signature_for_tag(461)
    push(server, name, cosign_tag(one.digest), theirs)
    with server.wire() as wire:
        wire.push(f"{UAT}/{name}", cosign_tag(one.digest), own)
    promoted(server, f"{name}:1.0.0", "uat")
    assert digest_at(server, UAT, name, cosign_tag(one.digest)) == own.digest
    assert digest_at(server, UAT, name, theirs.digest) == theirs.digest


def test_skopeo_goes_on_retagging_in_dev_where_no_suffix_means_a_stage(server: Pierhead) -> None:
    name, one = "pushes/plain", image(seed=470)
    push(server, name, "1.0.0", one)
    assert retag(server, name, "1.0.0-rc", one.manifest) == 201
    assert digest_at(server, DEV, name, "1.0.0-rc") == one.digest
    assert listed(server, f"?image={name}") == []
