"""What the board asks of the database. Each verb costs what it gives, however many tags an image has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from pierhead.domain.board import BoardRules, Standing
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.provenance import Seen
from pierhead.ports.metadata.values import BlobRow


class Arrival(Struct, frozen=True):
    """When an image's bytes came under a tag that may stand in a stage, the last time, and what was seen of the job
    that first brought them."""

    at: int
    seen: Seen


class BoardReports(Protocol):
    """Of the snapshot of the reports that it belongs to. Repositories and images that are not there hold nothing."""

    def images(self, repositories: Collection[RepositoryName], after: str, limit: int) -> Sequence[ImageName]:
        """Images that have a tag in one of them, above ``after``, by name, without doubles."""

    def candidates(
        self, repository: RepositoryName, image: ImageName, rules: BoardRules, limit: int
    ) -> Sequence[Standing]:
        """Open tags that ``rules`` let stand in a stage, the newest first; none of build caches."""

    def newer(self, repository: RepositoryName, image: ImageName, rules: BoardRules, than: int, most: int) -> int:
        """How many digests ``candidates`` has that came after ``than``; stops at ``most``."""

    def arrival(
        self, repository: RepositoryName, image: ImageName, rules: BoardRules, digest: Digest
    ) -> Arrival | None:
        """None if no open tag of the image that ``rules`` let stand points at it."""

    def brought(self, repository: RepositoryName, image: ImageName, digest: Digest) -> Seen | None:
        """What was seen of the job that first pushed the bytes under a tag that is still there; None without one."""

    def pointing(
        self, repository: RepositoryName, image: ImageName, names: Collection[str]
    ) -> Mapping[Tag, tuple[Digest, int]]:
        """Where those of the tags that are there point, and since when."""

    def blob(self, repository: RepositoryName, image: ImageName, digest: Digest) -> BlobRow | None:
        """A blob that the image was given, with its body if it is small."""
