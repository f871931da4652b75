"""What a cluster sends: a list of images, or what ``kubectl get pods --output json`` prints, as it is.

Parsed by a typed decoder, which passes over most of a pod: of ten megabytes a few hundred names are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import DigestInvalid, DigestUnsupported, shown
from pierhead.domain.refusals_accounts import BodyInvalid
from pierhead.domain.running import (
    NAME_CHARACTERS_MAX,
    REFERENCE_CHARACTERS_MAX,
    Reported,
    digest_of,
    gathered,
    workload_of,
)

_COUNT_MAX: Final = 1_000_000


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    image: str
    digest: str | None = None
    namespace: str = ""
    workload: str = ""
    container: str = ""
    count: int = 1


class _Owner(msgspec.Struct):
    kind: str = ""
    name: str = ""
    controller: bool = False


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    ownerReferences: list[_Owner] | None = None  # noqa: N815


class _Container(msgspec.Struct):
    name: str = ""
    image: str = ""


class _Status(msgspec.Struct):
    name: str = ""
    image: str = ""
    imageID: str = ""  # noqa: N815


class _Spec(msgspec.Struct):
    containers: list[_Container] | None = None


class _PodStatus(msgspec.Struct):
    phase: str = ""
    containerStatuses: list[_Status] | None = None  # noqa: N815


class _Pod(msgspec.Struct):
    kind: str = "Pod"
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    cluster: str | None = None
    stage: str | None = None
    images: list[str | _Entry] | None = None
    kind: str | None = None
    apiVersion: str | None = None  # noqa: N815
    metadata: dict[str, object] | None = None
    items: list[_Pod] | None = None


KEYS: Final = ("cluster", "stage", "images", "kind", "apiVersion", "metadata", "items")


def read_report(body: bytes) -> tuple[str | None, str | None, tuple[Reported, ...]]:
    """Cluster and stage as far as the body says them, and what runs. For a worker thread. Raises BodyInvalid."""
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyInvalid("", f"is not understood: {shown(str(error))}") from None
    if (found.images is None) == (found.items is None):
        raise BodyInvalid(
            "images", "is missing: a list of images, or in its place the `items` of `kubectl get pods --output json`"
        )
    listed = _of_list(found.images) if found.images is not None else _of_pods(found.items or [])
    entries = gathered(listed)
    if len(entries) > limits.RUNNING_ENTRIES_MAX:
        raise BodyInvalid("images", f"has more than {limits.RUNNING_ENTRIES_MAX} different entries")
    return found.cluster, found.stage, entries


def _of_list(images: list[str | _Entry]) -> Iterator[Reported]:
    for at, one in enumerate(images):
        where = f"images[{at}]"
        entry = _Entry(one) if isinstance(one, str) else one
        _checked(f"{where}.image", entry.image, REFERENCE_CHARACTERS_MAX)
        if not entry.image:
            raise BodyInvalid(f"{where}.image", "is empty")
        for key in ("namespace", "workload", "container"):
            _checked(f"{where}.{key}", getattr(entry, key), NAME_CHARACTERS_MAX)
        if not 1 <= entry.count <= _COUNT_MAX:
            raise BodyInvalid(f"{where}.count", f"is a whole number from 1 to {_COUNT_MAX}")
        digest = None if entry.digest is None else _digest(where, entry.digest)
        yield Reported(entry.image, digest, entry.namespace, entry.workload, entry.container, entry.count)


def _digest(where: str, text: str) -> Digest:
    try:
        return Digest.parse(text)
    except (DigestInvalid, DigestUnsupported) as refused:
        raise BodyInvalid(f"{where}.digest", f"is none: {refused.message}") from None


def _checked(where: str, text: str, most: int) -> None:
    if len(text) > most or not text.isprintable():
        raise BodyInvalid(where, f"is longer than {most} characters, or holds one that cannot be printed")


def _of_pods(pods: list[_Pod]) -> Iterator[Reported]:
    """Containers of pods that run. What a pod asks for comes from its specification, since a runtime may call the same
    image otherwise; the digest from its status."""
    for at, pod in enumerate(pods):
        if pod.kind != "Pod":
            raise BodyInvalid(f"items[{at}].kind", "is no Pod: send what `kubectl get pods --output json` prints")
        if pod.status.phase != "Running":
            continue
        meta = pod.metadata
        owner = next(((one.kind, one.name) for one in meta.ownerReferences or () if one.controller), None)
        workload = workload_of(meta.name, owner, (meta.labels or {}).get("pod-template-hash", ""))
        asked = {one.name: one.image for one in pod.spec.containers or ()}
        for status in pod.status.containerStatuses or ():
            reference = asked.get(status.name) or status.image
            if not reference:
                continue
            for text, most in ((reference, REFERENCE_CHARACTERS_MAX), (workload, 2 * NAME_CHARACTERS_MAX)):
                _checked(f"items[{at}]", text, most)
            for text in (meta.namespace, status.name):
                _checked(f"items[{at}]", text, NAME_CHARACTERS_MAX)
            yield Reported(reference, digest_of(status.imageID), meta.namespace, workload, status.name)
