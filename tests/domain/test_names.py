from __future__ import annotations

import pytest

from pierhead.domain.digest import EMPTY_SHA256, Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag, parse_reference
from pierhead.domain.refusals import DigestInvalid, DigestUnsupported, NameInvalid, TagInvalid


@pytest.mark.parametrize("text", ["a", "nginx", "orchestrator/server", "a.b/c__d/e-f/g--h", "0/1", "a" * 255])
def test_a_name_that_follows_the_grammar_is_an_image_name(text: str) -> None:
    assert ImageName.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "A", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a._b", "a" * 256, "аpp", "a b", "a\n", "a\x00", "../a"],
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        ImageName.parse(text)


@pytest.mark.parametrize("text", ["v2", "api", "metrics", "a/b", "A", "", "a\n", "a" * 256])
def test_a_repository_is_one_word_that_no_path_of_the_server_uses(text: str) -> None:
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


@pytest.mark.parametrize("text", ["latest", "Latest", "_", "1.4.0-rc_1", "a" * 128])
def test_a_tag_is_kept_as_it_is_written(text: str) -> None:
    assert Tag.parse(text) == text


@pytest.mark.parametrize("text", ["", ".x", "-x", "a" * 129, "a b", "a\r\nX: 1", "a\n", "ä", "a/b", "a:b", "a+b"])
def test_other_tags_are_refused(text: str) -> None:
    with pytest.raises(TagInvalid):
        Tag.parse(text)


@pytest.mark.parametrize(
    ("text", "fallback"),
    [
        ("sha256-" + "a" * 64, True),
        ("sha256-" + "a" * 64 + ".sig", True),
        ("sha256-" + "0" * 64 + ".att", True),
        ("sha256-" + "0" * 64 + ".sbom", True),
        ("sha512-" + "0" * 64, False),
        ("sha256-.sig", False),
        ("sha256-" + "a" * 63, False),
        ("sha256-" + "A" * 64, False),
        ("sha256-" + "a" * 64 + ".exe", False),
        ("sha256-" + "a" * 64 + ".sig.sig", False),
        ("latest", False),
    ],
)
def test_only_tags_that_clients_keep_signatures_under_are_fallback_tags(text: str, fallback: bool) -> None:
    assert Tag.parse(text).is_fallback is fallback


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "sha256:../../x",
        "sha256:" + HEX.upper(),
        "sha256:" + HEX[:-1],
        "sha256:" + HEX + "0",
        "sha256:" + HEX + "\n",
        "sha512:" + HEX,
        "sha256:",
        "sha256",
        "",
        ":",
        "SHA256:" + HEX,
        "sha 256:" + HEX,
        "sha256:" + "０" * 64,
    ],
)
def test_a_malformed_digest_is_refused(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "blake3", "sha384", "multihash+base58"])
def test_another_algorithm_is_not_kept(algorithm: str) -> None:
    with pytest.raises(DigestUnsupported, match="sha256 or sha512"):
        Digest.parse(algorithm + ":" + HEX)


def test_the_empty_blob_has_the_digest_everybody_knows() -> None:
    assert EMPTY_SHA256 == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_reference_with_a_colon_is_a_digest() -> None:
    assert isinstance(parse_reference("sha256:" + HEX), Digest)
    assert isinstance(parse_reference("latest"), Tag)
    with pytest.raises(DigestInvalid):
        parse_reference("sha256:latest")
