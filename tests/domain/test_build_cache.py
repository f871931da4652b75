"""What counts as a build cache: by content, by name, and what looks like one and is none."""

from __future__ import annotations

import json

import pytest

from pierhead.domain.build_cache import CACHE_CONFIG, BuildCache, build_cache_of, by_name
from pierhead.domain.manifest import OCI_INDEX, OCI_MANIFEST, Index, Manifest, parse
from pierhead.domain.names import ImageName, Tag, parse_reference

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
KEY = "5f" * 32


def descriptor(media_type: str, seed: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{seed:064x}", "size": 7}


def image(config: str = CONFIG, layers: int = 1) -> Manifest | Index:
    listed = [descriptor(LAYER, seed) for seed in range(2, 2 + layers)]
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(config, 1), "layers": listed}
    return parse(json.dumps(body).encode(), None)


def index(*entries: dict[str, object]) -> Manifest | Index:
    return parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode(), None)


@pytest.mark.parametrize(
    ("name", "reference", "manifest", "whose"),
    [
        ("a/server", "buildcache", image(CACHE_CONFIG), BuildCache.BUILDKIT),
        ("a/server", "main", image(CACHE_CONFIG.upper().replace("APPLICATION", "application")), BuildCache.BUILDKIT),
        ("a/server", f"sha256:{KEY}", image(CACHE_CONFIG), BuildCache.BUILDKIT),
        ("a/server", "x", index(descriptor(LAYER, 1), descriptor(CACHE_CONFIG, 2)), BuildCache.BUILDKIT),
        ("a/server/cache", KEY, image(), BuildCache.KANIKO),
        ("cache", KEY, image(), BuildCache.KANIKO),
        ("a/server-cache", KEY, image(layers=0), BuildCache.KANIKO),
        ("a/server", "buildcache-main", image(), BuildCache.NAMED),
        ("a/server", "main-build-cache", image(), BuildCache.NAMED),
    ],
)
def test_caches_of_builders_are_known_by_content_and_by_name(
    name: str, reference: str, manifest: Manifest | Index, whose: BuildCache
) -> None:
    assert build_cache_of(ImageName.parse(name), parse_reference(reference), manifest) is whose


@pytest.mark.parametrize(
    ("name", "reference", "manifest"),
    [
        ("a/server", "1.4.0", image()),
        ("a/cache", "1.4.0", image()),
        ("a/server", KEY, image()),
        ("a/cache", f"sha256:{KEY}", image()),
        ("a/cache", KEY, image(layers=3)),
        ("a/cache", KEY, index(descriptor(OCI_MANIFEST, 1))),
        ("a/server", "buildcache", index(descriptor(OCI_MANIFEST, 1))),
        ("a/server", "cache-fix", image()),
        ("a/server", "apache", image()),
    ],
)
def test_images_that_only_resemble_a_cache_are_none(name: str, reference: str, manifest: Manifest | Index) -> None:
    assert build_cache_of(ImageName.parse(name), parse_reference(reference), manifest) is None


def test_a_name_tells_without_the_content() -> None:
    assert by_name(ImageName("a/cache"), Tag(KEY)) is BuildCache.KANIKO
    assert by_name(ImageName("a/cache"), Tag("latest")) is None
    assert by_name(ImageName("a"), Tag("buildcache")) is BuildCache.NAMED
