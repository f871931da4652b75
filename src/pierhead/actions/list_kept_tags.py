"""The tags that a repository keeps, of a group those of its members, with the member that answers for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import TagInterval, TagRow

Keeping = Mapping[RepositoryName, ImageName]
"""Repositories that may hold an image, and under which name, in the order of asking (``Table.keeping``)."""


class KeptTag(Struct, frozen=True):
    member: RepositoryName
    row: TagRow


async def list_kept_tags(
    store: Store, keeping: Keeping, prefix: str, after: str, limit: int
) -> tuple[Sequence[KeptTag], str | None]:
    """Up to ``limit`` tags behind ``after``, by name, and what the next page is behind, None for the last. Nothing
    outside is asked.

    Raises TimeoutError.
    """

    def read(reports: Reports) -> dict[Tag, KeptTag]:
        found: dict[Tag, KeptTag] = {}
        for member, image in keeping.items():
            for row in reports.tags(member, image, after, limit + 1, prefix):
                found.setdefault(row.name, KeptTag(member, row))
        return found

    found = await store.report(read)
    names = sorted(found)
    return [found[name] for name in names[:limit]], names[limit - 1] if len(names) > limit else None


async def tag_history(
    store: Store, keeping: Keeping, tag: Tag, limit: int
) -> tuple[RepositoryName, Sequence[TagInterval]] | None:
    """What the tag stood for, newest first, in the member that answers for it now, or else did before; None if it was
    never there. Raises TimeoutError."""

    def read(reports: Reports) -> list[tuple[RepositoryName, Sequence[TagInterval]]]:
        return [(member, reports.history(member, image, tag, limit)) for member, image in keeping.items()]

    found = [(member, intervals) for member, intervals in await store.report(read) if intervals]
    standing = [one for one in found if one[1][0].until is None]
    return next(iter(standing or found), None)
