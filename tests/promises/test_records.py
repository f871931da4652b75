"""The gate about signatures, and the signed record that each promotion leaves: verified here by somebody who knows DSSE
and in-toto and nothing of the program."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers import cosign
from tests.peers.cosign import Signer
from tests.peers.images import Image, Index, image, index
from tests.peers.pierhead import Pierhead
from tests.peers.processes import free_port
from tests.promises.rails import API, ENVIRONMENT, as_person, ask, promoted, staged

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

DEV, UAT, PROD = "docker-hosted-dev", "docker-hosted-uat", "docker-hosted-prod"
KEY = Signer.ecdsa()
RECORD = "urn:pierhead:promotion:v1"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "cosign.pub"
    path.write_bytes(KEY.public)
    return path


@pytest.fixture(scope="module")
def server(key_file: Path) -> Iterator[Pierhead]:
    config = staged([{"signed": {"key": str(key_file)}}], [{"approvals": 1}])
    with Pierhead(config, environment=ENVIRONMENT, arguments=["--workers", "2"]) as started:
        yield started


@pytest.fixture
def name() -> str:
    return f"orchestrator/x{uuid.uuid4().hex[:12]}"


def push(server: Pierhead, name: str, one: Image | Index, *attached: Image) -> None:
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.0.0", one)
        for each in attached:
            wire.push(f"{DEV}/{name}", each.digest, each)


def signed(server: Pierhead, name: str, seed: int) -> Index:
    one = index({"linux/amd64": image(seed=seed), "linux/arm64": image(seed=seed + 1)})
    push(server, name, one, cosign.simple(KEY, cosign.payload(one.digest), one))
    return one


def records(server: Pierhead, where: str, digest: str) -> list[dict[str, Any]]:
    """Manifests of records, as a client finds them."""
    with server.wire() as wire:
        listed = wire.request("GET", f"/v2/{where}/referrers/{digest}").expect(200).json()["manifests"]
        ours = [one for one in listed if one.get("annotations", {}).get("dev.sigstore.bundle.predicateType") == RECORD]
        return [wire.get_manifest(where, one["digest"]).expect(200).json() for one in ours]


def bundle_of(server: Pierhead, where: str, manifest: dict[str, Any]) -> dict[str, Any]:
    layer = manifest["layers"][0]
    assert layer["mediaType"] == manifest["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    with server.wire() as wire:
        data = wire.get_blob(where, layer["digest"]).expect(200).body
    assert "sha256:" + hashlib.sha256(data).hexdigest() == layer["digest"]
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


def verified(bundle: dict[str, Any], pem: str) -> dict[str, Any]:
    """The statement of a bundle whose signature is good under the key. Raises InvalidSignature.

    Written after DSSE's protocol.md, the in-toto specification and sigstore_bundle.proto.
    """
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    envelope = bundle["dsseEnvelope"]
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
    signed = b" ".join((b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload))
    (signature,) = envelope["signatures"]
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert signature["keyid"] == bundle["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(der).hexdigest()
    key.verify(base64.b64decode(signature["sig"], validate=True), signed, ec.ECDSA(hashes.SHA256()))
    assert kind == "application/vnd.in-toto+json"
    statement = json.loads(payload)
    assert isinstance(statement, dict)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    return statement


def public_keys(server: Pierhead) -> list[str]:
    with server.wire() as wire:
        items = wire.request("GET", "/api/v1/record-keys").expect(200).json()["items"]
    return [str(one["public_key"]) for one in items]


def test_a_stage_that_wants_a_signature_takes_a_signed_image_and_no_other(server: Pierhead, name: str) -> None:
    one, other = image(seed=1), image(seed=2)
    push(server, name, one)
    refused = ask(server, f"{name}:1.0.0", "uat").expect(422).json()
    assert "it has no signature" in refused["message"]
    for forged, said in (
        (cosign.simple(Signer.ecdsa(), cosign.payload(one.digest), one), "it is not good under the key"),
        (cosign.simple(KEY, cosign.payload(other.digest), one), "it signs another image"),
        (cosign.bundle(one, dsseEnvelope=cosign.envelope(KEY, cosign.statement(one.digest, "x:y"))), "2 signatures"),
    ):
        push(server, name, one, forged)
        assert said in ask(server, f"{name}:1.0.0", "uat").expect(422).json()["message"]
    push(server, name, one, cosign.bundle(one, dsseEnvelope=cosign.envelope(KEY, cosign.statement(one.digest))))
    promoted(server, f"{name}:1.0.0", "uat")


@pytest.mark.parametrize("form", ["tag", "message", "old client"])
def test_a_signature_counts_at_the_gate_in_every_form(server: Pierhead, name: str, form: str) -> None:
    one = image(seed=11 + len(form))
    push(server, name, one)
    with server.wire() as wire:
        if form == "tag":
            wire.push(f"{DEV}/{name}", f"sha256-{one.digest[7:]}.sig", cosign.simple(KEY, cosign.payload(one.digest)))
        elif form == "message":
            content = cosign.message_signature(KEY, one.manifest.data)
            attached = cosign.bundle(one, messageSignature=content)
            wire.push(f"{DEV}/{name}", attached.digest, attached)
        else:  # one that keeps referrers under a tag, without a subject that the server would see
            attached = cosign.simple(KEY, cosign.payload(one.digest))
            wire.push(f"{DEV}/{name}", attached.digest, attached)
            wire.push(f"{DEV}/{name}", f"sha256-{one.digest[7:]}", index({"linux/amd64": attached}))
    promoted(server, f"{name}:1.0.0", "uat")


def test_a_promotion_leaves_a_record_that_others_can_verify(server: Pierhead, name: str) -> None:
    one = signed(server, name, 21)
    promoted(server, f"{name}:1.0.0", "uat")
    waits = ask(server, f"{name}:1.0.0", "prod", comment="fixes the login").expect(200).json()
    assert records(server, f"{PROD}/{name}", one.digest) == []
    with as_person(server, "ben") as ben:
        body = b'{"comment": "smoke tests fine"}'
        ben.request("POST", f"{API}/{waits['id']}/approve", body, {"Content-Type": "application/json"}).expect(200)
    found = records(server, f"{PROD}/{name}", one.digest)
    assert len(found) == 2, "the one of uat came along"
    keys = public_keys(server)
    told = {}
    for manifest in found:
        assert manifest["subject"]["digest"] == one.digest
        assert manifest["subject"]["size"] == one.manifest.size
        statement = verified(bundle_of(server, f"{PROD}/{name}", manifest), keys[0])
        assert statement["predicateType"] == RECORD
        assert [each["digest"] for each in statement["subject"]] == [{"sha256": one.digest[7:]}]
        told[statement["predicate"]["to"]["stage"]] = statement["predicate"]
    assert told["uat"]["gates"][1]["gate"] == "signed"
    assert told["uat"]["gates"][1]["state"] == "passes"
    last = told["prod"]
    assert (last["by"], last["from"]["stage"], last["tags"]) == ("anna", "uat", ["1.0.0"])
    assert (last["promotion"], last["comment"]) == (waits["id"], "fixes the login")
    assert [(each["by"], each["comment"]) for each in last["approvals"]] == [("ben", "smoke tests fine")]
    with server.wire() as wire:
        events = wire.request("GET", f"/api/v1/audit?image={name}&limit=10").expect(200).json()["items"]
    assert [event["kind"] for event in events][:2] == ["promotion recorded", "promoted"]
    with server.wire() as wire:
        listed = wire.request("GET", f"/v2/{PROD}/{name}/referrers/{one.digest}").expect(200).json()["manifests"]
    assert events[0]["record"] in {each["digest"] for each in listed}


def test_a_record_with_anything_changed_in_it_is_not_believed(server: Pierhead, name: str, tmp_path: Path) -> None:
    one = signed(server, name, 31)
    promoted(server, f"{name}:1.0.0", "uat")
    where = f"{UAT}/{name}"
    (manifest,) = records(server, where, one.digest)
    bundle, (key, *_) = bundle_of(server, where, manifest), public_keys(server)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b'"anna"', b'"dora"')).decode()
    with pytest.raises(InvalidSignature):
        verified(bundle, key)
    forged = cosign.raw_bundle(one, json.dumps(bundle).encode())
    mine = cosign.envelope(KEY, payload.replace(b'"anna"', b'"dora"'))
    by_another = cosign.bundle(one, dsseEnvelope=mine)
    with server.wire() as wire:
        for attached in (forged, by_another):
            wire.push(where, attached.digest, attached)
    code, out, err = server.run_command("records", "verify", f"{where}:1.0.0", "-o", "json")
    assert code == 0, err
    found = json.loads(out)["items"]
    assert sorted((item["good"], item["record"]["by"]) for item in found) == [
        (False, "dora"), (False, "dora"), (True, "anna"),
    ]  # fmt: skip
    assert "1 of 3 records" in err


def test_records_are_checked_in_a_file_with_the_key_alone(server: Pierhead, name: str, tmp_path: Path) -> None:
    signed(server, name, 41)
    promoted(server, f"{name}:1.0.0", "uat")
    pem, file = tmp_path / "pierhead.pub", str(tmp_path / "image.tar")
    code, out, err = server.run_command("records", "keys", "--pem")
    assert code == 0, err
    pem.write_text(out)
    assert server.run_command("export", f"{UAT}/{name}:1.0.0", "-o", file)[0] == 0
    nowhere = {"PIERHEAD_SERVER": f"http://127.0.0.1:{free_port()}", "PIERHEAD_PASSWORD": ""}
    check = ("records", "verify", "--archive", file)
    code, out, err = server.run_command(*check, "--key", str(pem), environment=nowhere)
    assert code == 0, err
    assert "dev -> uat" in out
    other = tmp_path / "other.pub"
    other.write_bytes(Signer.ecdsa().public)
    assert server.run_command(*check, "--key", str(other), environment=nowhere)[0] == 1
    code, _, err = server.run_command(*check, environment=nowhere)
    assert (code, "--key" in err) == (1, True), err
    code, _, err = server.run_command("records", "verify", f"{DEV}/{name}:1.0.0")
    assert (code, "no promotion left one" in err) == (1, True), err


def test_a_key_is_exchanged_while_the_server_runs_and_old_records_stay_good(server: Pierhead, name: str) -> None:
    one, two = signed(server, name, 51), f"{name}-b"
    promoted(server, f"{name}:1.0.0", "uat")
    before = public_keys(server)
    code, out, err = server.run_command("admin", "rotate-record-key", "--data", str(server.data), "-o", "json")
    assert (code, list(json.loads(out))) == (0, ["key"]), err
    new, *old = public_keys(server)
    assert old == before
    other = signed(server, two, 61)
    promoted(server, f"{two}:1.0.0", "uat")
    (first,), (second,) = records(server, f"{UAT}/{name}", one.digest), records(server, f"{UAT}/{two}", other.digest)
    verified(bundle_of(server, f"{UAT}/{name}", first), before[0])
    verified(bundle_of(server, f"{UAT}/{two}", second), new)
    for each in (name, two):
        assert server.run_command("records", "verify", f"{UAT}/{each}:1.0.0")[0] == 0
    private = [path for path in (server.data / "record-keys").iterdir() if path.suffix == ".key"]
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600]
    assert server.run_command("admin", "rotate-record-key", "--data", str(server.data / "none"))[0] == 1


def test_going_back_leaves_a_record_too(server: Pierhead, name: str) -> None:
    first = signed(server, name, 71)
    promoted(server, f"{name}:1.0.0", "uat")
    second = image(seed=81)
    with server.wire() as wire:
        wire.push(f"{DEV}/{name}", "1.1.0", second)
        attached = cosign.simple(KEY, cosign.payload(second.digest), second)
        wire.push(f"{DEV}/{name}", attached.digest, attached)
    promoted(server, f"{name}:1.1.0", "uat")
    promoted(server, name, "uat", back=True)
    kinds = [
        verified(bundle_of(server, f"{UAT}/{name}", one), key)["predicate"]["kind"]
        for one in records(server, f"{UAT}/{name}", first.digest)
        for key in public_keys(server)[:1]
    ]
    assert kinds == ["promotion", "back"]
