"""What clusters say they run: image references as Kubernetes and Docker write them, and what they mean here.

Sources: distribution/reference, "familiar names" (what begins with a host); Kubernetes API, ContainerStatus.imageID,
which the runtime fills: `HOST/NAME@sha256:…` by containerd and CRI-O, `docker-pullable://…` before them by dockershim,
and a bare `sha256:…`, which is the configuration's digest and no manifest's.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals import DigestInvalid, DigestUnsupported, NameInvalid, TagInvalid

REFERENCE_CHARACTERS_MAX: Final = 512
NAME_CHARACTERS_MAX: Final = 253
"""Of a Kubernetes object (DNS subdomain, RFC 1123)."""

_CLUSTER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")
_SCHEMES: Final = ("docker-pullable://", "docker://", "containerd://", "cri-o://")
CLUSTER_GRAMMAR: Final = "1 to 63 letters, digits, `.`, `_` or `-`, the first a letter or digit"


def is_cluster_name(text: str) -> bool:
    """Whether a cluster can be called this."""
    return _CLUSTER.fullmatch(text) is not None


def not_theirs(stage: str, theirs: Collection[str]) -> str:
    """Why somebody may not report for a stage, "" for the last one: ``theirs`` are those that they may."""
    named = ", ".join(sorted(filter(None, theirs)))
    runs = f"It runs for {stage or 'the last stage'}"
    return f"{runs}, and this account reports for {named}." if named else f"{runs}, and this account reports for none."


class Written(Struct, frozen=True):
    """An image reference as it was written. ``host`` is host or host:port, "" for Docker Hub's short names."""

    host: str
    path: str
    tag: Tag | None
    digest: Digest | None


def read_reference(text: str) -> Written | None:
    """None for what is no reference, such as a bare digest."""
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    if len(text) > REFERENCE_CHARACTERS_MAX or not text.isprintable():
        return None
    name, at, digest = text.partition("@")
    tag = ""
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
    first, slash, rest = name.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    try:
        path = str(ImageName.parse(rest if host else name))
        found = Written(host.lower(), path, Tag.parse(tag) if tag else None, Digest.parse(digest) if at else None)
    except (NameInvalid, TagInvalid, DigestInvalid, DigestUnsupported):
        return None
    # `sha256:…` alone reads like an image called sha256 with a tag of 64 digits.
    return None if not host and path in ("sha256", "sha512") else found


class Reported(Struct, frozen=True):
    """Containers of one workload that run one image. ``digest`` is the manifest's, if the runtime told it."""

    reference: str
    digest: Digest | None = None
    namespace: str = ""
    workload: str = ""
    container: str = ""
    count: int = 1


def gathered(found: Iterable[Reported]) -> tuple[Reported, ...]:
    """Pods of one workload with the same image become one entry, whose ``count`` says how many they are; in order."""
    counts: dict[Reported, int] = {}
    for one in found:
        key = Reported(one.reference, one.digest, one.namespace, one.workload, one.container)
        counts[key] = counts.get(key, 0) + one.count
    order = sorted(counts, key=lambda one: (one.namespace, one.workload, one.container, one.reference))
    return tuple(
        Reported(one.reference, one.digest, one.namespace, one.workload, one.container, counts[one]) for one in order
    )


def digest_of(image_id: str) -> Digest | None:
    """Of a container's ``imageID``; None where it names no manifest."""
    found = read_reference(image_id)
    return None if found is None else found.digest


def workload_of(pod: str, owner: tuple[str, str] | None, template_hash: str) -> str:
    """``Deployment/server`` of a pod whose controller is ``owner`` (kind, name): a ReplicaSet is called as its
    Deployment with the hash of its template behind it (Kubernetes, "Deployments", label pod-template-hash)."""
    if owner is None:
        return f"Pod/{pod}"
    kind, name = owner
    ending = f"-{template_hash}"
    if kind == "ReplicaSet" and template_hash and name.endswith(ending):
        return f"Deployment/{name.removesuffix(ending)}"
    return f"{kind}/{name}"


class Place(Struct, frozen=True):
    """A repository of ours under a host:port: by its own port, or by path on the main one (``repository`` is None)."""

    repository: RepositoryName | None


class Hosts:
    """Which host:port is which port of this server. ``schemes`` are the ports that a bare host may mean."""

    def __init__(self, ports: Iterable[tuple[str, RepositoryName | None]]) -> None:
        self._places: Final = {address.lower(): Place(repository) for address, repository in ports}

    def place(self, written: Written, known: Collection[str]) -> tuple[RepositoryName, ImageName] | None:
        """The repository and image that a reference names; None if it is none of ours."""
        if not written.host:
            return None
        candidates: Sequence[str] = (written.host,)
        if ":" not in written.host.rpartition("]")[2]:
            candidates = (f"{written.host}:443", f"{written.host}:80")
        for address in candidates:
            place = self._places.get(address)
            if place is None:
                continue
            if place.repository is not None:
                return place.repository, ImageName(written.path)
            first, slash, rest = written.path.partition("/")
            return (RepositoryName(first), ImageName(rest)) if slash and first in known else None
        return None


# --- what it means for a stage ---------------------------------------------------------------------------------------


class RunState(enum.Enum):
    """What runs, against what its cluster's stage holds; the closed set."""

    CURRENT = "current"
    OTHER = "other"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Runs(Struct, frozen=True):
    """Containers of one workload, as one cluster reported them. ``tag`` is what the stage calls these bytes, or else
    the one that was asked for; ``reported`` in microseconds since 1970, ``stale`` if that is too long ago."""

    cluster: str
    stage: str
    namespace: str
    workload: str
    count: int
    tag: Tag | None
    digest: Digest | None
    state: RunState
    reported: int
    stale: bool


def run_state(digest: Digest | None, known_as: Collection[Digest], holds: Digest | None) -> RunState:
    """``known_as`` are the digests in the stage's image that stand for what runs: itself, and the indexes above it."""
    if digest is None:
        return RunState.UNKNOWN
    if holds is not None and (holds == digest or holds in known_as):
        return RunState.CURRENT
    return RunState.OTHER if known_as else RunState.ABSENT
