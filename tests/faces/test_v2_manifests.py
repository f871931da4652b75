"""Pushing, pulling and deleting manifests, after the OCI distribution specification and its main branch."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faces.v2_house import SENT, Place, house, octets, sha512, ways
from tests.peers.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Image,
    Index,
    artifact,
    image,
    index,
    json_blob,
    sha256,
)
from tests.peers.pierhead import Pierhead


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with house() as started:
        yield started


@pytest.fixture(scope="module")
def both(server: Pierhead) -> dict[str, Place]:
    return ways(server)


@pytest.fixture(params=["by port", "by path"])
def place(request: pytest.FixtureRequest, both: dict[str, Place]) -> Place:
    return both[request.param]


def push(place: Place, name: str, reference: str, what: Image | Index) -> None:
    place.wire.push(f"{place.prefix}{name}", reference, what)


def put(place: Place, name: str, reference: str, manifest: Blob) -> None:
    answer = place.ask("PUT", name, f"manifests/{reference}", manifest.data, {"Content-Type": manifest.media_type})
    answer.expect(201)


def check(place: Place, name: str, reference: str, manifest: Blob, digest: str = "") -> None:
    """GET gives the bytes as they came, HEAD the same headers, both all that clients rely on."""
    read = place.ask("GET", name, f"manifests/{reference}").expect(200)
    assert read.body == manifest.data
    head = place.ask("HEAD", name, f"manifests/{reference}").expect(200)
    assert head.body == b""
    for answer in (read, head):
        assert answer.headers["Content-Type"] == manifest.media_type
        assert answer.headers["Content-Length"] == str(manifest.size)
        assert answer.headers["Docker-Content-Digest"] == (digest or manifest.digest)
        assert answer.headers["ETag"] == f'"{digest or manifest.digest}"'


KINDS: dict[str, Image | Index] = {
    "an OCI image": image(seed=1),
    "a Docker image": image(seed=2, docker=True),
    "an OCI index": index({"linux/amd64": image(seed=3), "linux/arm64/v8": image(seed=4)}),
    "a Docker manifest list": index({"linux/amd64": image(seed=5, docker=True)}, docker=True),
    "an artifact": artifact(payload=b"anything"),
    "an empty index": Index(json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX), ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_back_as_it_went_in_by_tag_and_by_digest(kind: str, place: Place) -> None:
    what = KINDS[kind]
    name = "kinds/" + kind.replace(" ", "-").lower()
    push(place, name, "1.0", what)
    check(place, name, "1.0", what.manifest)
    check(place, name, what.digest, what.manifest)
    answer = place.ask("PUT", name, "manifests/1.0", what.manifest.data, {"Content-Type": what.manifest.media_type})
    assert answer.status == 201
    assert answer.headers["Location"] == place.path(name, f"manifests/{what.digest}")
    assert answer.headers["Docker-Content-Digest"] == what.digest
    assert answer.headers["Content-Length"] == "0"


def test_bytes_are_kept_whatever_their_spacing(place: Place) -> None:
    one = image(seed=6)
    push(place, "spac/ing", "plain", one)
    pretty = Blob(json.dumps(json.loads(one.manifest.data), indent=7).encode() + b"\n\n", OCI_MANIFEST)
    put(place, "spac/ing", "pretty", pretty)
    check(place, "spac/ing", "pretty", pretty)
    check(place, "spac/ing", "plain", one.manifest)


def test_a_push_by_digest_makes_no_tag(place: Place) -> None:
    one = image(seed=7)
    push(place, "no/tag", one.digest, one)
    check(place, "no/tag", one.digest, one.manifest)
    assert place.ask("GET", "no/tag", "tags/list").expect(200).json()["tags"] == []


def test_several_tags_in_one_push(place: Place) -> None:
    one = image(seed=8)
    push(place, "several/tags", one.digest, one)
    headers = {"Content-Type": OCI_MANIFEST}
    tags = [f"v{number}" for number in range(12)]
    query = "&".join(f"tag={tag}" for tag in tags)
    answer = place.ask("PUT", "several/tags", f"manifests/{one.digest}?{query}", one.manifest.data, headers).expect(201)
    assert answer.headers.get_all("OCI-Tag") == tags
    assert answer.headers["Docker-Content-Digest"] == one.digest
    for tag in tags:
        check(place, "several/tags", tag, one.manifest)
    # Beside a tag in the path, and with one named twice.
    answer = place.ask("PUT", "several/tags", "manifests/a?tag=b&tag=b&tag=a", one.manifest.data, headers).expect(201)
    assert set(answer.headers.get_all("OCI-Tag") or []) == {"a", "b"}
    assert place.ask("GET", "several/tags", "tags/list").json()["tags"] == sorted([*tags, "a", "b"])


def test_a_tag_moves_where_the_policy_lets_it(place: Place) -> None:
    first, second = image(seed=9), image(seed=10)
    push(place, "mov/ing", "latest", first)
    push(place, "mov/ing", "latest", second)
    check(place, "mov/ing", "latest", second.manifest)
    check(place, "mov/ing", first.digest, first.manifest)


def test_manifests_named_by_sha512(place: Place) -> None:
    one = image(seed=11)
    push(place, "sha/512", "sha256", one)
    digest = sha512(one.manifest.data)
    answer = place.ask("PUT", "sha/512", f"manifests/{digest}?tag=x", one.manifest.data, {"Content-Type": OCI_MANIFEST})
    assert answer.expect(201).headers["Docker-Content-Digest"] == digest
    check(place, "sha/512", digest, one.manifest, digest)
    check(place, "sha/512", "x", one.manifest, digest)
    check(place, "sha/512", "sha256", one.manifest)
    # An image whose blobs are named by sha512, under a tag and in an index.
    layer, config = octets(900, 12), Blob(b"{}", OCI_EMPTY)
    descriptors = []
    for blob in (config, layer):
        named = sha512(blob.data)
        place.ask("POST", "sha/512", f"blobs/uploads/?digest={named}", blob.data, SENT).expect(201)
        descriptors.append({**blob.descriptor(), "digest": named})
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
    manifest = json_blob(content, OCI_MANIFEST)
    put(place, "sha/512", sha512(manifest.data), manifest)
    child = {**manifest.descriptor(), "digest": sha512(manifest.data)}
    outer = json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}, OCI_INDEX)
    put(place, "sha/512", "outer", outer)
    check(place, "sha/512", "outer", outer)


def test_an_index_of_indexes(place: Place) -> None:
    inner = index({"linux/amd64": image(seed=13)})
    push(place, "nest/ed", "inner", inner)
    push(place, "nest/ed", "flat", image(seed=14))
    entries = [inner.manifest.descriptor(), image(seed=14).manifest.descriptor()]
    outer = json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    put(place, "nest/ed", "outer", outer)
    check(place, "nest/ed", "outer", outer)


def test_an_index_whose_child_is_not_there_is_refused_naming_it(place: Place) -> None:
    absent = image(seed=15)
    outer = index({"linux/amd64": absent}).manifest
    answer = place.ask("PUT", "no/child", "manifests/1", outer.data, {"Content-Type": OCI_INDEX})
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert absent.digest in answer.message
    assert answer.message.endswith("Push each manifest first, then the index.")


def test_layers_that_others_hand_out_may_be_absent(place: Place) -> None:
    for media_type, foreign_type in (
        (OCI_MANIFEST, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        (DOCKER_MANIFEST, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ):
        config = Blob(b"{}", OCI_EMPTY)
        place.ask("POST", "for/eign", f"blobs/uploads/?digest={config.digest}", config.data, SENT).expect(201)
        layer = {**Blob(b"elsewhere", foreign_type).descriptor(), "urls": ["https://example.com/layer"]}
        content = {"schemaVersion": 2, "mediaType": media_type, "config": config.descriptor(), "layers": [layer]}
        manifest = json_blob(content, media_type)
        put(place, "for/eign", "1", manifest)
        check(place, "for/eign", "1", manifest)


def test_a_buildkit_cache_index_that_names_layers_is_taken(place: Place) -> None:
    config = Blob(b'{"layers":[],"records":[]}', "application/vnd.buildkit.cacheconfig.v0")
    layer = octets(300, 16)
    for blob in (config, layer):
        place.ask("POST", "build/cache", f"blobs/uploads/?digest={blob.digest}", blob.data, SENT).expect(201)
    entries = [layer.descriptor(), config.descriptor()]
    cache = json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    put(place, "build/cache", "cache", cache)
    check(place, "build/cache", "cache", cache)


def test_schema_1_is_refused_with_what_to_do(place: Place) -> None:
    body = json.dumps({"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": [], "history": []}).encode()
    for media_type in (
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/json",
    ):
        answer = place.ask("PUT", "schema/one", "manifests/1", body, {"Content-Type": media_type})
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        if "v1" in media_type:
            assert "push the image again" in answer.message


@pytest.mark.parametrize("accept", [DOCKER_MANIFEST, "application/json", "text/html", "*/*", ""])
def test_an_index_is_never_turned_into_a_manifest(accept: str, place: Place) -> None:
    multi = index({"linux/amd64": image(seed=17)})
    push(place, "con/vert", "1", multi)
    answer = place.ask("GET", "con/vert", "manifests/1", headers={"Accept": accept}).expect(200)
    assert answer.body == multi.manifest.data
    assert answer.headers["Content-Type"] == OCI_INDEX


def test_what_is_known_already_is_304(place: Place) -> None:
    one = image(seed=18)
    push(place, "con/ditional", "1", one)
    for known in (f'"{one.digest}"', f'W/"{one.digest}"', f'"x", "{one.digest}"', "*", one.digest):
        answer = place.ask("GET", "con/ditional", "manifests/1", headers={"If-None-Match": known})
        assert (answer.status, answer.body) == (304, b""), known
        assert answer.headers["ETag"] == f'"{one.digest}"'
    place.ask("GET", "con/ditional", "manifests/1", headers={"If-None-Match": '"sha256:0"'}).expect(200)


class TestDeletion:
    """Deleting tags, manifests and what is below them ("Content Management")."""

    @pytest.fixture
    def admin(self, server: Pierhead) -> Place:
        return Place(server.wire("open"), "")

    def test_a_tag_goes_alone(self, place: Place, admin: Place) -> None:
        one = image(seed=19)
        for tag in ("1", "2"):
            push(place, "del/tag", tag, one)
        admin.ask("DELETE", "del/tag", "manifests/1").expect(202)
        gone = place.ask("GET", "del/tag", "manifests/1")
        assert (gone.status, gone.code) == (404, "MANIFEST_UNKNOWN")
        check(place, "del/tag", "2", one.manifest)
        check(place, "del/tag", one.digest, one.manifest)
        again = admin.ask("DELETE", "del/tag", "manifests/1")
        assert (again.status, again.code) == (404, "MANIFEST_UNKNOWN")
        push(place, "del/tag", "1", image(seed=20))

    def test_a_manifest_goes_with_its_tags_and_can_come_back(self, place: Place, admin: Place) -> None:
        one = image(seed=21)
        for tag in ("1", "2"):
            push(place, "del/manifest", tag, one)
        admin.ask("DELETE", "del/manifest", f"manifests/{one.digest}").expect(202)
        for reference in ("1", "2", one.digest):
            assert place.ask("GET", "del/manifest", f"manifests/{reference}").code == "MANIFEST_UNKNOWN"
            assert place.ask("HEAD", "del/manifest", f"manifests/{reference}").status == 404
        assert admin.ask("DELETE", "del/manifest", f"manifests/{one.digest}").status == 404
        push(place, "del/manifest", "1", one)
        check(place, "del/manifest", "1", one.manifest)

    def test_a_child_of_an_index_stays_until_the_index_goes(self, place: Place, admin: Place) -> None:
        multi = index({"linux/amd64": image(seed=22)})
        child = multi.images[0]
        push(place, "del/child", "1", multi)
        refused = admin.ask("DELETE", "del/child", f"manifests/{child.digest}")
        assert (refused.status, refused.code) == (409, "DENIED")
        assert multi.digest in refused.message
        blob = admin.ask("DELETE", "del/child", f"blobs/{child.config.digest}")
        assert (blob.status, blob.code) == (405, "UNSUPPORTED")
        assert child.digest in blob.message
        admin.ask("DELETE", "del/child", f"manifests/{multi.digest}").expect(202)
        admin.ask("DELETE", "del/child", f"manifests/{child.digest}").expect(202)
        admin.ask("DELETE", "del/child", f"blobs/{child.config.digest}").expect(202)

    def test_what_another_image_has_is_not_touched(self, place: Place, admin: Place) -> None:
        one = image(seed=23)
        for name in ("del/one", "del/other"):
            push(place, name, "1", one)
        admin.ask("DELETE", "del/one", f"manifests/{one.digest}").expect(202)
        for blob in one.blobs:
            admin.ask("DELETE", "del/one", f"blobs/{blob.digest}").expect(202)
        check(place, "del/other", "1", one.manifest)
        for blob in one.blobs:
            place.check_blob("del/other", blob.digest, blob.data)


def test_a_list_type_without_children_of_the_other_family_is_kept_as_it_is(place: Place) -> None:
    oci = image(seed=24)
    push(place, "mix/ed", "oci", oci)
    mixed = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [oci.manifest.descriptor()]}
    outer = json_blob(mixed, DOCKER_LIST)
    put(place, "mix/ed", "list", outer)
    check(place, "mix/ed", sha256(outer.data), outer)
