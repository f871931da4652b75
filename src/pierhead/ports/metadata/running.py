"""What clusters run, as they reported it last. Instants are microseconds since 1970."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag


class RunningRow(Struct, frozen=True):
    """``repository`` and ``image`` are "" for what is not from here. ``tag`` is the one that was written; ``digest``
    what the runtime told, or else what the tag stood for when it was reported. ``id`` is 0 before it is kept."""

    id: int
    cluster: str
    reference: str
    repository: str
    image: str
    tag: Tag | None
    digest: Digest | None
    namespace: str
    workload: str
    container: str
    count: int


class ClusterRow(Struct, frozen=True):
    """``stage`` is the one that the cluster runs for, "" for the last. ``entries`` are those of its list."""

    cluster: str
    stage: str
    reported: int
    account: str
    entries: int


class Running(Protocol):
    """Of a transaction."""

    def find(self, cluster: str) -> ClusterRow | None: ...

    def rows(self, cluster: str) -> Sequence[RunningRow]:
        """In the order in which they were kept."""

    def replace(self, cluster: ClusterRow, rows: Collection[RunningRow] | None) -> None:
        """The cluster's list from now on; with None the list stays, and only the cluster's own row is written."""

    def forget(self, cluster: str) -> bool:
        """The cluster with its list; False if there is none."""


class RunningReports(Protocol):
    """Of a snapshot."""

    def clusters(self) -> Sequence[ClusterRow]:
        """By name."""

    def page(self, cluster: str | None, image: str | None, after: tuple[str, int], limit: int) -> Sequence[RunningRow]:
        """Behind ``after`` (cluster, id), by cluster and id; of one cluster, or one image, if they are given."""

    def of_image(self, image: ImageName, limit: int) -> Sequence[RunningRow]:
        """Of every cluster, old reports too."""

    def known_as(self, repository: RepositoryName, image: ImageName, digest: Digest) -> Sequence[Digest]:
        """The digest itself and the indexes that list it, as far as the image holds them."""
