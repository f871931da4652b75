"""Hostile manifests: rows 13 to 32 of the table. What is taken is stored as it came, and what is not leaves nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.peers.images import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Blob,
    Json,
    artifact,
    image,
    sha256,
)
from tests.promises.ground import BOB, MIB, OUTSIDER, Ground, answers_in, chunked

SHA512 = "sha512:" + "a" * 128
CONFIG = Blob(b'{"architecture":"amd64","os":"linux"}', OCI_CONFIG)
LAYER = Blob(b"not really a layer", OCI_LAYER)
NOWHERE = {"mediaType": OCI_LAYER, "digest": "sha256:" + "d" * 64, "size": 3}


@pytest.fixture(scope="module", autouse=True)
def blobs(ground: Ground) -> None:
    for blob in (CONFIG, LAYER):
        ground.push_blob(blob)


def manifest(**changed: object) -> bytes:
    """A good manifest, but for what is given; None leaves a member out."""
    good: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": CONFIG.descriptor(),
        "layers": [LAYER.descriptor()],
    }
    return json.dumps({key: value for key, value in {**good, **changed}.items() if value is not None}).encode()


def with_size(text: str) -> bytes:
    """A good manifest whose layer says this size."""
    return manifest(layers=[{**LAYER.descriptor(), "size": "SIZE"}]).replace(b'"SIZE"', text.encode())


GOOD = manifest()

# (row, what, body, Content-Type, wanted)
BODIES: list[tuple[int, str, bytes, str | None, str]] = [
    (13, "manifests and layers in one", manifest(manifests=[]), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (13, "an index with layers", manifest(mediaType=OCI_INDEX, manifests=[]), OCI_INDEX, "400 MANIFEST_INVALID"),
    (13, "an index with a config", b'{"schemaVersion":2,"manifests":[],"config":{}}', OCI_INDEX, "400"),
    (14, "mediaType and Content-Type differ", GOOD, OCI_INDEX, "400 MANIFEST_INVALID"),
    (14, "Docker's type for OCI's", GOOD, DOCKER_MANIFEST, "400 MANIFEST_INVALID"),
    (14, "parameters do not count", GOOD, OCI_MANIFEST + "; charset=utf-8", "201"),
    (15, "JSON of no type", manifest(mediaType=None), "application/json", "400 MANIFEST_INVALID"),
    (15, "no type anywhere", manifest(mediaType=None), None, "400 MANIFEST_INVALID"),
    (15, "a type in the header alone", manifest(mediaType=None), OCI_MANIFEST, "201"),
    (16, "a key twice", GOOD[:-1] + b',"config":{}}', OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "a key in another case", GOOD[:-1] + b',"Config":{}}', OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "a byte order mark", b"\xef\xbb\xbf" + GOOD, OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "UTF-16", GOOD.decode().encode("utf-16"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "a second document", GOOD + GOOD, OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "NaN", GOOD[:-1] + b',"x":NaN}', OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "Infinity", GOOD[:-1] + b',"x":-Infinity}', OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "half a surrogate pair", GOOD[:-1] + b',"x":"\\ud800"}', OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "no JSON", b"hello", OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "nothing at all", b"", OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "a list", b"[]", OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (16, "odd spacing is kept", b" \n" + GOOD.replace(b'"config"', b'\t"config" '), OCI_MANIFEST, "201"),
    (17, "100,000 lists", b"[" * 100_000, OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (17, "100,000 objects", b'{"a":' * 100_000, OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (17, "in an annotation", GOOD[:-1] + b',"annotations":' + b"[" * 9999 + b"]" * 9999 + b"}", OCI_MANIFEST, "400"),
    (18, "a size of 5,000 digits", with_size("1" + "0" * 5_000), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "a size of 10^5000", with_size("1e5000"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "a negative size", with_size("-1"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "a fraction", with_size("1.5"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "a text", with_size('"18"'), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "a truth", with_size("true"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (18, "2^63", with_size(str(2**63)), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (19, "a layer's size is wrong", with_size("17"), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (19, "a config's size is wrong", manifest(config={**CONFIG.descriptor(), "size": 1}), OCI_MANIFEST, "400"),
    (21, "10,000 layers", manifest(layers=[LAYER.descriptor()] * 10_000), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (21, "10,000 children", json.dumps({"schemaVersion": 2, "manifests": [NOWHERE] * 9999}).encode(), OCI_INDEX, "400"),
    (22, "a layer that is not there", manifest(layers=[NOWHERE]), OCI_MANIFEST, "400 MANIFEST_BLOB_UNKNOWN"),
    (22, "a config that is not there", manifest(config=NOWHERE), OCI_MANIFEST, "400 MANIFEST_BLOB_UNKNOWN"),
    (27, "a foreign layer", manifest(layers=[
        {**NOWHERE, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
         "urls": ["http://169.254.169.254/", "file:///etc/passwd"]}]), OCI_MANIFEST, "201"),
    (29, "annotations with line breaks", manifest(annotations={"a\r\nX: 1": "b\r\nX: 1\x1b[31m"}), OCI_MANIFEST, "201"),
    (29, "annotations with HTML", manifest(annotations={"<script>": "javascript:alert(1)"}), OCI_MANIFEST, "201"),
    (29, "1 MiB of annotations", manifest(annotations={"a": "b" * (MIB + 1)}), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (29, "annotations that are no text", manifest(annotations={"a": 1}), OCI_MANIFEST, "400 MANIFEST_INVALID"),
    (30, "schema 1 by type", GOOD, "application/vnd.docker.distribution.manifest.v1+prettyjws", "400 MANIFEST_INVALID"),
    (30, "schema 1 by content", b'{"schemaVersion":1,"fsLayers":[]}', "application/json", "400 MANIFEST_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize("line", BODIES, ids=[f"row {line[0]}: {line[1]}" for line in BODIES])
def test_a_hostile_manifest_is_answered_as_the_table_says(line: Any, unharmed: Ground) -> None:
    _, _, body, media_type, wanted = line
    began = time.monotonic()
    heard = unharmed.put_manifest("tried", body, media_type)
    assert heard.is_one_of(wanted), f"{heard.status} {heard.body[:300]!r}, wanted {wanted}"
    assert "X" not in heard.headers
    assert b"\x1b" not in heard.body
    read = unharmed.wire().get_manifest("known/image", "tried")
    if heard.status == 201:
        assert read.body == body
        assert heard.headers["Docker-Content-Digest"] == sha256(body)
        assert "X" not in read.headers
        unharmed.ask("DELETE", f"/v2/known/image/manifests/{sha256(body)}", who="admin")
    else:
        assert read.status == 404
        assert time.monotonic() - began < 5


def test_row_18_a_sentence_says_where_the_fault_is(unharmed: Ground) -> None:
    heard = unharmed.put_manifest("tried", with_size("-1"))
    assert "layers[0].size" in heard.message


def test_row_20_exactly_4_mib_are_taken_and_one_byte_more_is_refused_before_it_is_sent(unharmed: Ground) -> None:
    most = 4 * MIB
    full = GOOD[:-1] + b" " * (most - len(GOOD)) + b"}"
    assert unharmed.put_manifest("full", full).status == 201
    assert unharmed.wire().get_manifest("known/image", "full").body == full
    head = unharmed.head(
        "PUT", "/v2/known/image/manifests/over", {"Content-Type": OCI_MANIFEST, "Content-Length": str(most + 1)}
    )
    [heard] = answers_in(unharmed.say(head))  # not a byte of the body is sent
    assert heard.is_one_of("413 MANIFEST_INVALID")


def test_row_20_an_endless_manifest_ends_at_4_mib(unharmed: Ground) -> None:
    head = unharmed.head(
        "PUT", "/v2/known/image/manifests/endless", {"Content-Type": OCI_MANIFEST, "Transfer-Encoding": "chunked"}
    )
    [heard] = answers_in(unharmed.say(head + chunked(*[b" " * 65_536] * 70, end=False)))
    assert heard.is_one_of("413 MANIFEST_INVALID")


def test_row_22_each_missing_blob_is_named(unharmed: Ground) -> None:
    missing = [{**NOWHERE, "digest": "sha256:" + f"{number:x}" * 64} for number in (1, 2, 3)]
    heard = unharmed.put_manifest("tried", manifest(layers=missing))
    assert heard.json()["errors"][0]["detail"]["missing"] == [one["digest"] for one in missing]
    assert all(str(one["digest"]) in heard.message for one in missing)
    index = json.dumps({"schemaVersion": 2, "manifests": [{**NOWHERE, "mediaType": OCI_MANIFEST}]}).encode()
    heard = unharmed.put_manifest("tried", index, OCI_INDEX)
    assert heard.is_one_of("400 MANIFEST_BLOB_UNKNOWN")
    assert heard.json()["errors"][0]["detail"]["missing"] == [NOWHERE["digest"]]


def test_row_23_a_blob_of_another_image_or_repository_looks_like_one_that_is_nowhere(unharmed: Ground) -> None:
    secret = Blob(b"bytes that only the other image was given", OCI_LAYER)
    unharmed.push_blob(secret, "secret/image", BOB)
    unharmed.push_blob(secret, "once/image", BOB, "once")
    stolen = unharmed.put_manifest("tried", manifest(layers=[secret.descriptor()]))
    absent = unharmed.put_manifest("tried", manifest(layers=[{**NOWHERE, "size": secret.size}]))
    assert stolen.is_one_of("400 MANIFEST_BLOB_UNKNOWN")
    assert stolen.status == absent.status
    assert stolen.body.replace(secret.digest.encode(), b"") == absent.body.replace(str(NOWHERE["digest"]).encode(), b"")


def test_row_24_indexes_in_indexes_are_taken_to_a_depth_and_refused_beyond_it(unharmed: Ground) -> None:
    inner, media_type, depth, refused = GOOD, OCI_MANIFEST, 0, ""
    assert unharmed.put_manifest(sha256(inner), inner).status == 201
    while depth < 12:
        child = {"mediaType": media_type, "digest": sha256(inner), "size": len(inner)}
        # The same child many times over: a walk that does not remember would take 30^8 steps.
        inner = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] * 30}).encode()
        media_type = OCI_INDEX
        began = time.monotonic()
        heard = unharmed.put_manifest(f"depth-{depth}", inner, OCI_INDEX)
        assert time.monotonic() - began < 5
        if heard.status != 201:
            assert heard.is_one_of("400 MANIFEST_INVALID")
            refused = heard.message
            break
        depth += 1
    assert 4 <= depth < 12
    assert "deep" in refused


def test_row_25_and_26_bytes_under_a_digest_that_is_not_theirs_are_refused(unharmed: Ground) -> None:
    for reference in (sha256(b"others"), SHA512):
        assert unharmed.put_manifest(reference, GOOD).is_one_of("400 DIGEST_INVALID")
        assert unharmed.wire().get_manifest("known/image", reference).status == 404
    # With tags that would have been made along with it.
    assert unharmed.put_manifest(sha256(b"others") + "?tag=along", GOOD).is_one_of("400 DIGEST_INVALID")
    assert unharmed.wire().get_manifest("known/image", "along").status == 404


def test_row_27_addresses_of_foreign_layers_are_kept_and_never_met(unharmed: Ground) -> None:
    host, port = unharmed.trap.getsockname()
    foreign = {
        **NOWHERE,
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "urls": [f"http://{host}:{port}/layer"],
    }
    body = manifest(layers=[foreign], mediaType=DOCKER_MANIFEST)
    assert unharmed.put_manifest("foreign", body, DOCKER_MANIFEST).status == 201
    assert unharmed.wire().get_manifest("known/image", "foreign").body == body
    assert unharmed.wire().get_blob("known/image", str(NOWHERE["digest"])).status == 404


def test_row_28_a_subject_may_be_missing_and_many_referrers_come_page_by_page(unharmed: Ground) -> None:
    """The first page is as long as clients can take, as most of them never ask for a second."""
    subject = image(seed=77)
    alice = unharmed.wire()
    unharmed.push_blob(Blob(b"{}", OCI_EMPTY), "many/referrers")
    made = []
    for number in range(1_050):
        one = artifact(subject, payload=b"same", annotations={"number": str(number)})
        if not number:
            unharmed.push_blob(one.layers[0], "many/referrers")
        answer = alice.put_manifest("many/referrers", one.digest, one.manifest).expect(201)
        assert answer.headers["OCI-Subject"] == subject.digest
        made.append(one.digest)
    kind = "application/vnd.example.signature.v1"
    for query in ("", f"?artifactType={kind}"):
        target, pages = f"/v2/many/referrers/referrers/{subject.digest}{query}", []
        while target:
            began = time.monotonic()
            answer = alice.request("GET", target).expect(200)
            assert time.monotonic() - began < 2
            assert ("OCI-Filters-Applied" in answer.headers) == bool(query)
            pages.append([one["digest"] for one in answer.json()["manifests"]])
            link = answer.headers.get("Link", "")
            target = link[1 : link.index(">")] if link else ""
        assert [len(page) for page in pages] == [1_000, 50]
        assert [digest for page in pages for digest in page] == made
    for last in ("x", "-1", "9" * 40, "1.5"):
        assert alice.request("GET", f"/v2/many/referrers/referrers/{subject.digest}?last={last}").status == 400
    assert alice.request("GET", f"/v2/many/referrers/referrers/{subject.digest}?last=999999").json()["manifests"] == []


def test_row_28_referrers_with_large_annotations_come_in_answers_that_clients_can_take(unharmed: Ground) -> None:
    subject, alice = image(seed=78), unharmed.wire()
    made = []
    for number in range(9):
        one = artifact(subject, payload=b"large", annotations={"number": str(number), "text": "x" * 900_000})
        alice.push("large/referrers", one.digest, one)
        made.append(one.digest)
    target, found = f"/v2/large/referrers/referrers/{subject.digest}", []
    while target:
        answer = alice.request("GET", target).expect(200)
        assert len(answer.body) < 4 * MIB
        found += [entry["digest"] for entry in answer.json()["manifests"]]
        link = answer.headers.get("Link", "")
        target = link[1 : link.index(">")] if link else ""
    assert found == made


def test_row_31_only_real_fallback_tags_may_move_where_tags_are_written_once(unharmed: Ground) -> None:
    hex_ = unharmed.image.digest.removeprefix("sha256:")
    first, second = artifact(payload=b"one"), artifact(payload=b"two")
    wire = unharmed.wire(BOB, "once")
    for tag in (f"sha256-{hex_}", f"sha256-{hex_}.sig", f"sha256-{hex_}.att", f"sha256-{hex_}.sbom"):
        wire.push("known/image", tag, first)
        wire.push("known/image", tag, second)
        assert wire.get_manifest("known/image", tag).body == second.manifest.data
    for tag in (f"sha256-{hex_}.exe", f"sha256-{hex_[:-1]}", f"sha256-{hex_}.sig.sig", f"Sha256-{hex_}", "sha256-.sig"):
        wire.push("known/image", tag, first)
        assert wire.put_manifest("known/image", tag, second.manifest).status == 409, tag
    assert (
        unharmed.ask("PUT", f"/v2/known/image/manifests/sha256-{hex_}", GOOD, who=OUTSIDER, port="once").status == 403
    )


def test_row_31_forged_referrers_are_marked_as_unverified(unharmed: Ground) -> None:
    forged = artifact(payload=b"forged")
    wire = unharmed.wire()
    wire.push("forged/image", "x", forged)
    subject = sha256(b"a subject that nobody pushed")
    entry = {**forged.manifest.descriptor(), "artifactType": "application/vnd.forged", "annotations": {"a": "<b>"}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    body = Blob(json.dumps(index).encode(), OCI_INDEX)
    wire.put_manifest("forged/image", subject.replace(":", "-"), body).expect(201)
    [listed] = wire.request("GET", f"/v2/forged/image/referrers/{subject}").json()["manifests"]
    assert listed["digest"] == forged.digest
    assert listed["annotations"]["io.pierhead.referrer.unverified"] == "true"


def test_row_32_a_malformed_signature_tag_is_an_ordinary_tag(unharmed: Ground) -> None:
    unharmed.wire().push("known/image", "sha256-.sig", artifact(payload=b"x"))
    assert unharmed.wire().request("GET", f"/v2/known/image/referrers/{unharmed.image.digest}").status == 200
