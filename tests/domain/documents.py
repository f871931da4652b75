"""Manifests to begin from: what registries meet every day, and how each is said wrongly."""

from __future__ import annotations

import copy
import json

import pytest

from pierhead.domain.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, parse
from pierhead.domain.refusals import ManifestInvalid

Json = dict[str, object]

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def descriptor(number: int, media_type: str = LAYER_TYPE, **more: object) -> Json:
    return {"mediaType": media_type, "digest": digest(number), "size": number, **more}


def image(media_type: str = OCI_MANIFEST, layers: int = 2, **more: object) -> Json:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(1, CONFIG_TYPE),
        "layers": [descriptor(10 + number) for number in range(layers)],
        **more,
    }


def index(media_type: str = OCI_INDEX, **more: object) -> Json:
    return {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [
            descriptor(20, OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(21, OCI_MANIFEST, platform={"os": "linux", "architecture": "arm", "variant": "v7"}),
        ],
        **more,
    }


def documents() -> list[Json]:
    return [
        image(),
        image(DOCKER_MANIFEST),
        index(),
        index(DOCKER_LIST),
        image(artifactType="application/x.sbom", subject=descriptor(3, OCI_MANIFEST), annotations={"a": "b"}),
    ]


def without(document: Json, key: str) -> Json:
    made = copy.deepcopy(document)
    del made[key]
    return made


def encoded(document: object) -> bytes:
    return json.dumps(document, indent=2).encode()


def refusal(body: object, content_type: str | None = OCI_MANIFEST) -> str:
    """The sentence that refuses `body`: bytes as they are, anything else as JSON."""
    with pytest.raises(ManifestInvalid) as caught:
        parse(body if isinstance(body, bytes) else encoded(body), content_type)
    return caught.value.message


def short(value: object) -> str:
    """A test's name, which would else hold the whole of a long value."""
    return repr(value)[:24]
