"""Images that an account may not pull, in groups and lists: they answer like images that are not there."""

from __future__ import annotations

import pytest

from pierhead.domain.access import Principal, Right, Rule
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns
from pierhead.repositories.kind import ImageList
from pierhead.repositories.visible import visible_images

NAMES = [ImageName(f"{team}/{n:02}") for team in ("a", "b", "c") for n in range(10)]
DEV = RepositoryName("dev")


async def fetch(last: str, limit: int) -> list[ImageName]:
    return [name for name in NAMES if name > last][:limit]


def reader(*patterns: str) -> Principal:
    return Principal("reader", (Rule(frozenset({Right.PULL}), images=Patterns(patterns)),))


@pytest.mark.parametrize("limit", [1, 3, 9, 10, 11, 40])
@pytest.mark.parametrize("patterns", [("*",), ("c/*",), ("a/00", "c/09"), ("nothing/*",), ("b/*", "c/0*")])
async def test_pages_hold_what_is_seen_and_end_where_that_ends(limit: int, patterns: tuple[str, ...]) -> None:
    who = reader(*patterns)
    seen = [name for name in NAMES if Patterns(patterns).meets(name)]
    found: list[ImageName] = []
    last = ""
    while True:
        page: ImageList = await visible_images(who, DEV, fetch, last, limit)
        found += page.images
        assert page.more is (len(found) < len(seen)), "a page that says more has more behind it, and no empty one"
        if not page.more:
            break
        assert len(page.images) == limit
        last = page.images[-1]
    assert found == seen
