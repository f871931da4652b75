"""Packages out of bills of materials, and what is not taken for one."""

from __future__ import annotations

import json

import pytest

from pierhead.domain import limits
from pierhead.repositories.sbom import packages_of

SPDX = {
    "spdxVersion": "SPDX-2.3",
    "packages": [
        {"name": "server", "primaryPackagePurpose": "CONTAINER", "versionInfo": "1"},
        {
            "name": "openssl",
            "versionInfo": "3.0.18-1",
            "externalRefs": [
                {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:x"},
                {"referenceType": "purl", "referenceLocator": "pkg:deb/debian/openssl@3.0.18-1?arch=amd64"},
            ],
        },
        {"name": "flask", "versionInfo": "3.1.0"},
        {"name": "flask", "versionInfo": "2.0.0"},
        {"versionInfo": "of nothing"},
    ],
}
CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "components": [
        {"type": "library", "group": "@types", "name": "node", "version": "20", "purl": "pkg:npm/%40types/node@20"},
        {
            "type": "library",
            "group": "org.x",
            "name": "y",
            "version": "1",
            "components": [{"name": "in", "version": "2"}],
        },
        {"type": "file", "name": "/etc/passwd"},
    ],
}


def read(document: object) -> object:
    return packages_of(json.dumps(document).encode())


def test_spdx_gives_versions_by_name_and_kind_of_package() -> None:
    assert read(SPDX) == {
        "deb/openssl": frozenset({"3.0.18-1"}),
        "flask": frozenset({"3.1.0", "2.0.0"}),
    }


def test_cyclonedx_gives_components_and_those_within_them() -> None:
    assert read(CYCLONEDX) == {
        "npm/@types/node": frozenset({"20"}),
        "org.x/y": frozenset({"1"}),
        "in": frozenset({"2"}),
    }


@pytest.mark.parametrize("bill", [SPDX, CYCLONEDX])
def test_a_bill_in_an_attestation_is_the_same(bill: dict[str, object]) -> None:
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "x", "predicate": bill}
    assert read(statement) == read(bill)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"predicate": {"buildType": "x"}},
        {"bomFormat": "Other", "components": []},
        {"spdxVersion": "SPDX-2.3", "packages": {}},
        {"spdxVersion": 7},
    ],
)
def test_what_is_no_bill_is_none(document: object) -> None:
    assert read(document) is None


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b'{"components":' + b"[" * 100_000, b"PK\x03\x04"])
def test_bytes_that_are_no_json_are_none(body: bytes) -> None:
    assert packages_of(body) is None


def test_components_within_components_end_somewhere() -> None:
    document: dict[str, object] = {"name": "deep", "version": "1"}
    for _ in range(200):
        document = {"name": "deep", "version": "1", "components": [document]}
    assert read({"bomFormat": "CycloneDX", "components": [document]}) == {"deep": frozenset({"1"})}


def test_a_bill_with_more_packages_than_an_image_can_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SBOM_PACKAGES_MAX", 3)
    made = [{"name": f"p{number}", "version": "1"} for number in range(4)]
    assert read({"bomFormat": "CycloneDX", "components": made}) is None
    assert read({"bomFormat": "CycloneDX", "components": made[:3]}) is not None
