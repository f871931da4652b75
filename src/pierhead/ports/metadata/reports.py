"""What pages, lists and jobs ask of the database; nothing on the pull path may."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.values import ImageRow, Reclaimable, TagInterval, TagRow, Totals


class Reports(Protocol):
    """All of one snapshot. Cursors are the last name of the page before, empty at the beginning."""

    def totals(self) -> Totals: ...

    def images(self, repository: RepositoryName, prefix: str, after: str, limit: int) -> Sequence[ImageRow]: ...

    def tags(self, repository: RepositoryName, image: ImageName, after: str, limit: int) -> Sequence[TagRow]: ...

    def history(self, repository: RepositoryName, image: ImageName, tag: Tag, limit: int) -> Sequence[TagInterval]:
        """Newest first; the open interval has no ``until``."""

    def repository_sizes(self) -> Sequence[tuple[RepositoryName, int, int]]:
        """(repository, images, bytes of distinct blobs that its images were given)."""

    def reclaimable(self, now: int, sample: int) -> Reclaimable:
        """What nothing refers to, as of ``now``, with the ``sample`` largest named."""

    def stored(self, digests: Collection[Digest]) -> Collection[tuple[Digest, str]]:
        """Which (digest, generation) the rows name, of those digests."""
