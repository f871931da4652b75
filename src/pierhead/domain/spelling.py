"""How far two spellings are apart: for names that were meant to be others."""

from __future__ import annotations


def distance(one: str, other: str, most: int) -> int | None:
    """How many single letters have to be put in, left out, changed, or swapped with their neighbour to turn ``one``
    into ``other``; None if that is more than ``most``.

    Source: the restricted Damerau-Levenshtein distance ("optimal string alignment"), computed in a band of ``most``
    cells beside the diagonal, so that the time grows with length times ``most``.
    """
    if abs(len(one) - len(other)) > most:
        return None
    one, other = _without_common_ends(one, other)
    if not one or not other:
        found = len(one) + len(other)
        return found if found <= most else None
    beyond = most + 1
    width = len(other)
    two_before: list[int] = []
    before = [min(at, beyond) for at in range(width + 1)]
    for row, letter in enumerate(one, 1):
        first, last = max(1, row - most), min(width, row + most)
        now = [beyond] * (width + 1)
        now[0] = min(row, beyond)
        for at in range(first, last + 1):
            cost = before[at - 1] + (letter != other[at - 1])
            cost = min(cost, before[at] + 1, now[at - 1] + 1)
            if row > 1 and at > 1 and letter == other[at - 2] and one[row - 2] == other[at - 1]:
                cost = min(cost, two_before[at - 2] + 1)
            now[at] = min(cost, beyond)
        if min(now) > most and min(before) > most:
            return None
        two_before, before = before, now
    return before[width] if before[width] <= most else None


def _without_common_ends(one: str, other: str) -> tuple[str, str]:
    """What is equal at both ends does not matter to the distance."""
    shorter = min(len(one), len(other))
    begin = 0
    while begin < shorter and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    return one[begin : len(one) - end], other[begin : len(other) - end]
