from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pytest

from pierhead.domain.digest import Digest
from pierhead.domain.graph import children_first
from pierhead.domain.refusals import ManifestInvalid


def named(name: int) -> Digest:
    return Digest(f"sha256:{name:064x}")


class Rows:
    """The edges of a graph of numbers; counts how often each is asked for."""

    def __init__(self, edges: Mapping[int, Sequence[int]]) -> None:
        self.edges = {named(parent): [named(child) for child in children] for parent, children in edges.items()}
        self.asked: Counter[Digest] = Counter()

    def __call__(self, digest: Digest) -> Iterable[Digest]:
        self.asked[digest] += 1
        return self.edges.get(digest, ())


def test_one_manifest_is_a_walk_of_one() -> None:
    assert children_first(named(1), Rows({})) == (named(1),)


def test_children_come_before_parents_and_each_once() -> None:
    rows = Rows({1: [2, 3], 2: [4, 5], 3: [5, 4, 4]})
    walk = children_first(named(1), rows)
    assert walk[-1] == named(1)
    assert sorted(walk) == [named(number) for number in range(1, 6)]
    for parent, children in rows.edges.items():
        assert all(walk.index(child) < walk.index(parent) for child in children)


def test_shared_children_are_asked_for_once() -> None:
    """Seven levels in which each index names the next one a hundred times: 100^7 paths, eight rows."""
    rows = Rows({level: [level + 1] * 100 for level in range(1, 8)})
    assert len(children_first(named(1), rows)) == 8
    assert set(rows.asked.values()) == {1}


def test_levels_up_to_the_limit_are_walked_and_not_beyond() -> None:
    rows = Rows({level: [level + 1] for level in range(1, 1_000)})
    assert len(children_first(named(993), rows)) == 8
    with pytest.raises(ManifestInvalid, match="8 levels"):
        children_first(named(992), rows)
    with pytest.raises(ManifestInvalid, match="8 levels"):
        children_first(named(1), rows)
    assert len(rows.asked) < 20


def test_a_deep_part_that_is_met_twice_counts_from_where_it_is_met() -> None:
    rows = Rows({1: [3, 2], 2: [3], 3: [4], 4: [5]})
    assert len(children_first(named(1), rows, levels_max=5)) == 5
    with pytest.raises(ManifestInvalid):
        children_first(named(1), rows, levels_max=4)


def test_a_circle_ends() -> None:
    with pytest.raises(ManifestInvalid):
        children_first(named(1), Rows({1: [2], 2: [1]}))
