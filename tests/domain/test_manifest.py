from __future__ import annotations

import json

import pytest

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    Platform,
    parse,
    referrer_descriptor,
)
from pierhead.domain.refusals import DigestUnsupported, ManifestTooLarge
from tests.domain.documents import (
    CONFIG_TYPE,
    LAYER_TYPE,
    Json,
    descriptor,
    digest,
    encoded,
    image,
    index,
    refusal,
    short,
    without,
)

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
EMPTY = "application/vnd.oci.empty.v1+json"


def parsed_image(document: Json, content_type: str | None = None) -> Manifest:
    found = parse(encoded(document), content_type)
    assert isinstance(found, Manifest)
    return found


def parsed_index(document: Json, content_type: str | None = None) -> Index:
    found = parse(encoded(document), content_type)
    assert isinstance(found, Index)
    return found


# --- what is taken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_names_its_config_and_layers(media_type: str) -> None:
    document = image(media_type)
    found = parsed_image(document, media_type)
    assert found.media_type == media_type
    assert found.size == len(encoded(document))
    assert found.config == Descriptor(Digest.parse(digest(1)), 1, CONFIG_TYPE)
    assert [layer.digest for layer in found.layers] == [digest(10), digest(11)]
    assert [one.digest for one in found.required] == [digest(1), digest(10), digest(11)]
    assert found.foreign == ()
    assert found.subject is None
    assert found.artifact_type == CONFIG_TYPE


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_names_its_children_and_their_platforms(media_type: str) -> None:
    found = parsed_index(index(media_type), media_type)
    assert [(child.digest, str(child.platform)) for child in found.children] == [
        (digest(20), "linux/amd64"),
        (digest(21), "linux/arm/v7"),
    ]
    assert found.required == ()
    assert found.artifact_type == ""


def test_the_header_says_what_it_is_if_the_document_does_not() -> None:
    assert parsed_image(without(image(), "mediaType"), OCI_MANIFEST).media_type == OCI_MANIFEST
    assert parsed_index(without(index(), "mediaType"), OCI_INDEX).media_type == OCI_INDEX


@pytest.mark.parametrize("header", [None, OCI_MANIFEST.upper(), f"{OCI_MANIFEST}; charset=utf-8", f" {OCI_MANIFEST} "])
def test_parameters_and_case_of_the_header_do_not_count(header: str | None) -> None:
    assert parsed_image(image(), header).media_type == OCI_MANIFEST


def test_a_layer_that_comes_twice_is_required_once() -> None:
    found = parsed_image(image(layers=0) | {"layers": [descriptor(7), descriptor(7)]})
    assert len(found.layers) == 2
    assert [one.digest for one in found.required] == [digest(1), digest(7)]


@pytest.mark.parametrize(
    "foreign",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_a_layer_that_others_hand_out_may_be_absent(foreign: str) -> None:
    layers = [descriptor(7, foreign, urls=["http://169.254.169.254/", "file:///etc/passwd"]), descriptor(8)]
    found = parsed_image(image() | {"layers": layers})
    assert [one.digest for one in found.required] == [digest(1), digest(8)]
    assert [one.digest for one in found.foreign] == [digest(7)]


def test_urls_alone_do_not_make_a_layer_optional() -> None:
    found = parsed_image(image() | {"layers": [descriptor(7, urls=["https://elsewhere.example/"])]})
    assert digest(7) in {one.digest for one in found.required}


def test_an_artifact_with_an_empty_config_is_an_image_manifest() -> None:
    empty = {"mediaType": EMPTY, "digest": str(Digest.of(b"{}")), "size": 2, "data": "e30="}
    document = image() | {"config": empty, "layers": [empty], "artifactType": "application/spdx+json"}
    found = parsed_image(document)
    assert found.artifact_type == "application/spdx+json"
    assert len(found.required) == 1


def test_the_artifact_type_is_else_the_type_of_the_config() -> None:
    notation = "application/vnd.cncf.notary.signature"
    assert parsed_image(image() | {"config": descriptor(1, notation)}).artifact_type == notation
    assert parsed_image(image(artifactType="") | {"config": descriptor(1, notation)}).artifact_type == notation


def test_a_subject_is_known_of_images_and_indexes() -> None:
    subject = descriptor(99, OCI_MANIFEST)
    expected = Descriptor(Digest.parse(digest(99)), 99, OCI_MANIFEST)
    assert parsed_image(image(subject=subject)).subject == expected
    assert parsed_index(index(subject=subject)).subject == expected
    assert parsed_image(image(subject=None)).subject is None


def test_an_empty_list_may_be_written_as_go_writes_it() -> None:
    assert parsed_image(image() | {"layers": None}).layers == ()
    assert parsed_index(index() | {"manifests": None}).children == ()
    assert parsed_index(index() | {"manifests": []}).children == ()


def test_layers_of_a_build_cache_in_an_index_are_blobs() -> None:
    cache = [descriptor(5), descriptor(5), descriptor(6, "application/vnd.buildkit.cacheconfig.v0")]
    found = parsed_index(index() | {"manifests": [*cache, descriptor(7, OCI_MANIFEST)]})
    assert [one.digest for one in found.required] == [digest(5), digest(6)]
    assert [one.digest for one in found.children] == [digest(7)]


def test_attestations_keep_what_marks_them() -> None:
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest(20)}
    entry = descriptor(9, OCI_MANIFEST, annotations=marks, platform={"os": "unknown", "architecture": "unknown"})
    (child,) = parsed_index(index() | {"manifests": [entry]}).children
    assert child.annotations == marks
    assert child.platform == Platform("unknown", "unknown")


def test_unknown_fields_and_odd_annotations_are_taken() -> None:
    text = {"a\r\nb": "\x1b[31m<script>javascript:", "Config": "not a field here", "size": "text"}
    found = parsed_image(image(annotations=text, unheard={"of": [1, 2.5, None, True]}))
    assert found.annotations == text


def test_a_fraction_too_great_to_be_kept_is_no_fault_where_nobody_reads_it() -> None:
    body = encoded(image(x=7.5)).replace(b"7.5", b"1e999")
    assert parse(body, None).size == len(body)


def test_sha512_is_taken() -> None:
    long = {"mediaType": LAYER_TYPE, "digest": "sha512:" + "a" * 128, "size": 1}
    assert parsed_image(image() | {"layers": [long]}).layers[0].digest.algorithm == "sha512"


def test_a_whole_surrogate_pair_is_a_character_and_an_escaped_backslash_is_none() -> None:
    body = encoded(image(annotations={"smile": "\U0001f600"}))
    assert b"\\ud83d\\ude00" in body
    found = parse(body, None)
    assert found.annotations == {"smile": "\U0001f600"}
    assert parse(encoded(image(annotations={"path": "C:\\ud800"})), None).annotations == {"path": "C:\\ud800"}


def test_a_manifest_may_have_as_many_bytes_as_clients_read() -> None:
    body = encoded(image())
    body += b" " * (limits.MANIFEST_BYTES_MAX - len(body))
    assert parse(body, None).size == limits.MANIFEST_BYTES_MAX
    with pytest.raises(ManifestTooLarge):
        parse(body + b" ", None)


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        image(manifests=[]),
        image(manifests=None),
        index(layers=[]),
        index(config=descriptor(1, CONFIG_TYPE)),
        index(config=None),
    ],
)
def test_a_document_that_is_both_image_and_index_is_refused(document: Json) -> None:
    """CVE-2021-41190: one reader sees an image and the next an index."""
    assert "disagree" in refusal(document, None)


@pytest.mark.parametrize("header", [OCI_INDEX, DOCKER_MANIFEST, "application/json", "text/plain"])
def test_header_and_document_have_to_agree(header: str) -> None:
    message = refusal(image(), header)
    assert OCI_MANIFEST in message
    assert header in message


@pytest.mark.parametrize("header", [None, "", "application/json", "application/octet-stream", ";", "*/*"])
def test_somebody_has_to_say_what_it_is(header: str | None) -> None:
    assert "Content-Type" in refusal(without(image(), "mediaType"), header)


@pytest.mark.parametrize("said", ["application/vnd.oci.artifact.manifest.v1+json", "", "x", OCI_MANIFEST + ";a=b"])
def test_other_types_are_refused_with_those_that_are_taken(said: str) -> None:
    message = refusal(image(said), None)
    assert "mediaType is" in message
    assert DOCKER_LIST in message


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 1, "name": "a", "fsLayers": [], "history": []},
        image(fsLayers=[]),
        image() | {"schemaVersion": 1},
        {"schemaVersion": 1, "mediaType": SCHEMA_1},
    ],
)
def test_schema_1_is_told_what_to_do(document: Json) -> None:
    header = None if "mediaType" in document else SCHEMA_1
    assert "push the image again with Docker 1.10 or newer" in refusal(document, header)


@pytest.mark.parametrize("version", [None, 3, "2", 2.0, True, [2]])
def test_the_schema_version_is_2(version: object) -> None:
    assert "schemaVersion must be 2" in refusal(image() | {"schemaVersion": version})
    assert "schemaVersion must be 2" in refusal(without(image(), "schemaVersion"))


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (image(Config=1), "`Config` is spelled `config`"),
        (without(image(), "config") | {"CONFIG": descriptor(1)}, "`CONFIG` is spelled `config`"),
        (image(Manifests=[]), "`Manifests` is spelled `manifests`"),
        (image() | {"layer\u017f": []}, "is spelled `layers`"),
        (image() | {"layers": [descriptor(1) | {"Digest": digest(2)}]}, "`layers[0].Digest` is spelled `digest`"),
        (index() | {"manifests": [descriptor(1, OCI_MANIFEST, platform={"OS": "x"})]}, "`manifests[0].platform.OS`"),
    ],
)
def test_a_key_that_go_would_read_as_another_is_refused(document: Json, place: str) -> None:
    assert place in refusal(document, None)


@pytest.mark.parametrize(
    "size",
    ["-1", "1.5", "1.0", "1e3", '"1"', "true", "null", "[]", str(2**63), "9" * 19, "1" + "0" * 5000, "1" * 1_000_000],
    ids=short,
)
def test_a_size_is_a_whole_number_that_fits(size: str) -> None:
    body = encoded(image(layers=4)).replace(b'"size": 13', b'"size": ' + size.encode())
    message = refusal(body)
    assert "layers[3].size must be a whole number from 0" in message or "more than 19 digits" in message


def test_the_greatest_size_is_taken() -> None:
    assert parsed_image(image() | {"layers": [descriptor(7) | {"size": 2**63 - 1}]}).layers[0].size == 2**63 - 1


def test_one_digest_has_one_size() -> None:
    message = refusal(image() | {"layers": [descriptor(7), descriptor(7) | {"size": 8}]})
    assert "layers[1].size is not the one given elsewhere" in message


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (without(image(), "config"), "config must be a descriptor"),
        (image() | {"config": [descriptor(1)]}, "config must be a descriptor"),
        (without(image(), "layers"), "`layers` must be a list"),
        (without(index(), "manifests"), "`manifests` must be a list"),
        (image() | {"layers": {}}, "`layers` must be a list"),
        (image() | {"layers": [descriptor(1), "x"]}, "layers[1] must be a descriptor"),
        (image() | {"layers": [without(descriptor(1), "digest")]}, "layers[0].digest must be text"),
        (image() | {"layers": [descriptor(1) | {"digest": "sha256:00"}]}, "layers[0].digest: `sha256:00` is no digest"),
        (image() | {"layers": [descriptor(0xA) | {"digest": digest(0xA).upper()}]}, "layers[0].digest"),
        (image() | {"layers": [without(descriptor(1), "mediaType")]}, "layers[0].mediaType"),
        (image() | {"layers": [descriptor(1, "")]}, "layers[0].mediaType"),
        (image() | {"layers": [descriptor(1, "a/b\r\nX: y")]}, "layers[0].mediaType"),
        (image() | {"layers": [descriptor(1, "a" * 256)]}, "layers[0].mediaType"),
        (image(subject="x"), "subject must be a descriptor"),
        (image(subject=without(descriptor(1), "size")), "subject.size"),
        (image(artifactType=7), "artifactType must be"),
        (image(artifactType="a\nb"), "artifactType must be"),
        (image() | {"mediaType": 7}, "mediaType must be text"),
        (image(annotations=[]), "annotations must be an object"),
        (image(annotations={"a": 1}), "the value of `a` must be text"),
        (image(annotations={"a": None}), "the value of `a` must be text"),
        (image() | {"layers": [descriptor(1, annotations={"a": 1.5})]}, "layers[0].annotations: the value of `a`"),
        (index() | {"manifests": [descriptor(1, platform=7)]}, "manifests[0].platform must be an object"),
        (index() | {"manifests": [descriptor(1, platform={"os": 7})]}, "manifests[0].platform.os must be text"),
    ],
)
def test_the_sentence_names_the_place(document: Json, place: str) -> None:
    assert place in refusal(document, None)


def test_an_algorithm_that_is_not_kept_is_named() -> None:
    with pytest.raises(DigestUnsupported, match="blake3"):
        parse(encoded(image() | {"layers": [descriptor(1) | {"digest": "blake3:" + "0" * 64}]}), None)


def test_more_references_than_the_limit_are_refused() -> None:
    most = limits.MANIFEST_REFERENCES_MAX
    assert len(parsed_image(image(layers=most)).layers) == most
    assert f"has {most + 1} entries" in refusal(image(layers=most + 1))
    assert "10000 entries" in refusal(index() | {"manifests": [0] * 10_000}, None)


def test_annotations_have_a_limit_in_all() -> None:
    half = "é" * (limits.ANNOTATIONS_BYTES_MAX // 4)
    assert parsed_image(image(annotations={"": half, "a": half[2:]})).annotations
    entry = descriptor(1, OCI_MANIFEST, annotations={"a": half})
    assert "annotations have more than" in refusal(index(annotations={"b": half}) | {"manifests": [entry]}, None)


# --- referrers -----------------------------------------------------------------------------------------------------


def test_a_referrer_is_shown_with_type_and_annotations() -> None:
    document = image(annotations={"a": "b"}, artifactType="application/x.sbom")
    body = encoded(document)
    assert referrer_descriptor(parse(body, None), Digest.of(body)) == {
        "mediaType": OCI_MANIFEST,
        "size": len(body),
        "digest": str(Digest.of(body)),
        "artifactType": "application/x.sbom",
        "annotations": {"a": "b"},
    }


def test_an_index_without_artifact_type_is_shown_without() -> None:
    body = encoded(index())
    entry = referrer_descriptor(parse(body, None), Digest.of(body))
    assert entry.keys() == {"mediaType", "size", "digest"}
    assert json.loads(json.dumps(entry))["size"] == len(body)
