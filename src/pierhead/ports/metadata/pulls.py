"""When content was pulled: a row for each image, digest and tag under which it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, RepositoryName


class PullCounts(Protocol):
    def add(self, counts: Mapping[tuple[RepositoryName, ImageName, Digest, Reference], int]) -> None:
        """Pulls by (repository, image, what was handed out, what was asked for), as of ``tx.now``."""

    def begin(self) -> int:
        """Since when pulls are counted, in microseconds since 1970: from the first call on."""
