"""The images that a repository keeps, of a group those of its members, with the member that answers for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from pierhead.domain.access import Principal, Right
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import ImageRow
from pierhead.repositories.table import Leaf


class ListedImage(Struct, frozen=True):
    """``members`` hold it, the one that answers first. ``tags`` is None where several members have to be merged for
    it; ``changed`` is when a tag was last pointed at something, in microseconds."""

    name: ImageName
    members: tuple[RepositoryName, ...]
    tags: int | None
    changed: int | None


async def list_images(
    store: Store, leaves: Sequence[Leaf], who: Principal, prefix: str, after: str, limit: int
) -> tuple[Sequence[ListedImage], str | None]:
    """Up to ``limit`` images behind ``after`` that ``who`` may pull, by name, and what the next page is behind, None
    for the last. Nothing outside is asked. What the account does not see shortens no page and ends none.

    Raises TimeoutError.
    """
    listed: list[ListedImage] = []
    while True:
        rows, names, more = await _batch(store, leaves, prefix, after, limit)
        for name in names:
            one = _merged(name, leaves, who, rows)
            if one is not None:
                if len(listed) == limit:
                    return listed, listed[-1].name
                listed.append(one)
        if not more:
            return listed, None
        after = names[-1]


async def _batch(
    store: Store, leaves: Sequence[Leaf], prefix: str, after: str, limit: int
) -> tuple[Mapping[tuple[ImageName, RepositoryName], ImageRow], Sequence[ImageName], bool]:
    """Rows by name and repository, the names that are complete among them, and whether there are more."""

    def read(reports: Reports) -> list[ImageRow]:
        rows: list[ImageRow] = []
        for name in {leaf.entry.name for leaf in leaves}:
            rows += reports.images(name, prefix, after, limit + 1)
        return rows

    rows = {(row.name, row.repository): row for row in await store.report(read)}
    names = sorted({name for name, _ in rows})
    return rows, names[: limit + 1], len(names) > limit + 1 or len(rows) > limit


def _merged(
    name: ImageName,
    leaves: Sequence[Leaf],
    who: Principal,
    rows: Mapping[tuple[ImageName, RepositoryName], ImageRow],
) -> ListedImage | None:
    """None if no leaf has it that answers for it under this name, or in which ``who`` may pull it."""
    asked = dict.fromkeys(leaf.entry.name for leaf in leaves if leaf.kept_as(name) is not None)
    found = [rows[name, member] for member in asked if (name, member) in rows and who.may(Right.PULL, member, name)]
    if not found:
        return None
    changes = [row.pushed for row in found if row.pushed is not None]
    return ListedImage(
        name,
        tuple(row.repository for row in found),
        found[0].tags if len(found) == 1 else None,
        max(changes, default=None),
    )
