"""The walk over a manifest's graph: children before parents, everything once, the root last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.refusals import ManifestInvalid


def children_first(
    root: Digest, children_of: Callable[[Digest], Iterable[Digest]], levels_max: int = limits.INDEX_DEPTH_MAX
) -> tuple[Digest, ...]:
    """``root`` and all it reaches, each once and behind all of its children; ``root`` comes last.

    ``children_of`` is asked once for each digest. Time is linear in digests and edges, however often indexes share
    their children. Raises ManifestInvalid for more than ``levels_max`` levels, ``root``'s own counted (a circle, which
    only damaged rows could make, has no end of them).
    """
    levels: dict[Digest, int] = {}
    path: list[tuple[Digest, Iterator[Digest]]] = [(root, iter(tuple(children_of(root))))]
    below: list[int] = [0]
    while path:
        digest, rest = path[-1]
        child = next(rest, None)
        if child is None:
            path.pop()
            height = levels[digest] = below.pop() + 1
            if below:
                below[-1] = max(below[-1], height)
            continue
        known = levels.get(child)
        if len(path) + (known or 1) > levels_max:
            raise ManifestInvalid(f"indexes stand in each other more than {levels_max} levels deep")
        if known is None:
            path.append((child, iter(tuple(children_of(child)))))
            below.append(0)
        else:
            below[-1] = max(below[-1], known)
    return tuple(levels)
