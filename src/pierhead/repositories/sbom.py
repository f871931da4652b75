"""Packages out of a software bill of materials, in worker threads: the typed decoder passes over most of a document.

Sources: SPDX 2.3, "Package information" and its JSON schema; CycloneDX 1.6, "components"; in-toto attestations,
"Statement", in whose predicate BuildKit and cosign put either of them; package URLs (purl-spec).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import msgspec

from pierhead.domain import limits
from pierhead.domain.image_diff import Packages

SPDX: Final = "application/spdx+json"
CYCLONEDX: Final = "application/vnd.cyclonedx+json"
IN_TOTO: Final = "application/vnd.in-toto+json"
SBOM_TYPES: Final = frozenset({SPDX, CYCLONEDX, IN_TOTO, "text/spdx+json", "application/vnd.cyclonedx"})

_NAME_CHARACTERS_MAX: Final = 300
_DEPTH_MAX: Final = 32


class _Reference(msgspec.Struct):
    referenceType: str = ""  # noqa: N815
    referenceLocator: str = ""  # noqa: N815


class _Package(msgspec.Struct):
    name: str = ""
    versionInfo: str = ""  # noqa: N815
    primaryPackagePurpose: str = ""  # noqa: N815
    externalRefs: list[_Reference] = []  # noqa: N815


class _Component(msgspec.Struct):
    name: str = ""
    group: str = ""
    version: str = ""
    type: str = ""
    purl: str = ""
    components: list[_Component] = []


class _Bill(msgspec.Struct):
    spdxVersion: str | None = None  # noqa: N815
    bomFormat: str | None = None  # noqa: N815
    packages: list[_Package] = []
    components: list[_Component] = []


class _Statement(_Bill):
    predicate: _Bill | None = None


def packages_of(body: bytes) -> Packages | None:
    """Versions by name; None for what is neither SPDX nor CycloneDX in JSON, or says more than is taken."""
    try:
        found = msgspec.json.decode(body, type=_Statement)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    bill = found if found.predicate is None else found.predicate
    if bill.spdxVersion is None and bill.bomFormat != "CycloneDX":
        return None
    versions: dict[str, set[str]] = {}
    for name, version in _of_spdx(bill) if bill.spdxVersion is not None else _of_components(bill.components, 0):
        if not name:
            continue
        if len(versions) >= limits.SBOM_PACKAGES_MAX and name not in versions:
            return None
        versions.setdefault(name[:_NAME_CHARACTERS_MAX], set()).add(version[:_NAME_CHARACTERS_MAX])
    return {name: frozenset(found) for name, found in versions.items()}


def _of_spdx(bill: _Bill) -> Iterator[tuple[str, str]]:
    """The image itself and single files are no packages."""
    for one in bill.packages:
        if one.primaryPackagePurpose in ("CONTAINER", "FILE"):
            continue
        purl = next((ref.referenceLocator for ref in one.externalRefs if ref.referenceType == "purl"), "")
        if not purl.startswith("pkg:oci/"):
            yield _named(one.name, purl), one.versionInfo


def _of_components(components: list[_Component], depth: int) -> Iterator[tuple[str, str]]:
    for one in components:
        if one.type not in ("file", "container"):
            yield _named(f"{one.group}/{one.name}" if one.group else one.name, one.purl), one.version
        if depth < _DEPTH_MAX:
            yield from _of_components(one.components, depth + 1)


def _named(name: str, purl: str) -> str:
    """`deb/openssl`: two distributions of packages may have the same names."""
    if not purl.startswith("pkg:"):
        return name
    path = purl[4:].partition("?")[0].partition("#")[0]
    kind, _, rest = path.partition("/")
    full = unquote(rest.rpartition("@")[0] or rest)
    # The namespace of a distribution (`debian/`) says where it is from and not what it is.
    return f"{kind}/{full.rpartition('/')[2] if kind in ('deb', 'rpm', 'apk') else full}"
