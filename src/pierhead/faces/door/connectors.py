"""What a port stands for: one repository, or all of them by path."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.domain.names import RepositoryName


@dataclass(frozen=True, slots=True)
class Connector:
    """The label of a port. ``repository`` is None for the main port, where images are named REPOSITORY/IMAGE.

    ``external`` is host:port as people reach it, for sentences.
    """

    repository: RepositoryName | None
    listen: str
    external: str
