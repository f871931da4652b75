"""The images that a repository keeps, of a group those of its members, with the member that answers for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pierhead.domain.names import ImageName, RepositoryName
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import ImageRow
from pierhead.repositories.table import Leaf


@dataclass(frozen=True, slots=True)
class ListedImage:
    """``members`` hold it, the one that answers first. ``tags`` is None where several members have to be merged for
    it; ``changed`` is when a tag was last pointed at something, in microseconds."""

    name: ImageName
    members: tuple[RepositoryName, ...]
    tags: int | None
    changed: int | None


async def list_images(
    store: Store, leaves: Sequence[Leaf], prefix: str, after: str, limit: int
) -> tuple[Sequence[ListedImage], str | None]:
    """Up to ``limit`` images behind ``after``, by name, and what the next page is behind, None for the last. Nothing
    outside is asked.

    Raises TimeoutError.
    """

    def read(reports: Reports) -> list[ImageRow]:
        rows: list[ImageRow] = []
        for name in {leaf.entry.name for leaf in leaves}:
            rows += reports.images(name, prefix, after, limit + 1)
        return rows

    rows = {(row.name, row.repository): row for row in await store.report(read)}
    names = sorted({name for name, _ in rows})
    listed = [one for name in names[:limit] if (one := _merged(name, leaves, rows)) is not None]
    return listed, names[limit - 1] if len(names) > limit else None


def _merged(
    name: ImageName, leaves: Sequence[Leaf], rows: Mapping[tuple[ImageName, RepositoryName], ImageRow]
) -> ListedImage | None:
    asked = dict.fromkeys(leaf.entry.name for leaf in leaves if leaf.kept_as(name) is not None)
    found = [rows[name, member] for member in asked if (name, member) in rows]
    if not found:
        return None
    changes = [row.pushed for row in found if row.pushed is not None]
    return ListedImage(
        name,
        tuple(row.repository for row in found),
        found[0].tags if len(found) == 1 else None,
        max(changes, default=None),
    )
