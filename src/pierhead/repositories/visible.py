"""Lists of images for accounts that see only some of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pierhead.domain.access import Principal, Right
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.repositories.kind import ImageList

Fetch = Callable[[str, int], Awaitable[Sequence[ImageName]]]
"""(last, limit) -> up to ``limit`` names behind ``last``, sorted."""


async def visible_images(who: Principal, repository: RepositoryName, fetch: Fetch, last: str, limit: int) -> ImageList:
    """Up to ``limit`` names that ``who`` may pull, and whether there are more of those. What the account does not see
    is passed over, so that neither the length of a page nor where it ends tells of it."""
    if who.may_everywhere(Right.PULL, repository):
        found = await fetch(last, limit + 1)
        return ImageList(found[:limit], len(found) > limit)
    seen: list[ImageName] = []
    while len(seen) <= limit:
        names = await fetch(last, limit + 1)
        seen += [name for name in names if who.may(Right.PULL, repository, name)]
        if len(names) <= limit:
            break
        last = names[-1]
    return ImageList(seen[:limit], len(seen) > limit)
