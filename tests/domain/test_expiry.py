"""Rules of expiry as plain functions: which rule decides, what its conditions mean, which pulls it would break."""

from __future__ import annotations

import pytest

from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules, TagFacts, broken, broken_untagged, expired
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.pull_days import DAY

IMAGE, DIGEST = ImageName("orchestrator/server"), Digest.of(b"x")
NOW = 100 * DAY


def about(*tags: str, **conditions: object) -> Rule:
    return Rule(tags=TagPatterns(tags), **conditions)  # type: ignore[arg-type]


def tag(name: str, since: int, pulled: int | None = None, **more: object) -> TagFacts:
    """Instants in days."""
    at = None if pulled is None else pulled * DAY
    return TagFacts(Tag(name), DIGEST, since * DAY, at, **more)  # type: ignore[arg-type]


def gone(*tags: TagFacts, rules: tuple[Rule, ...], counted: int = 0) -> list[str]:
    return sorted(one.facts.tag for one in expired(Rules(rules), IMAGE, tags, NOW, counted * DAY))


def test_the_first_rule_about_a_tag_decides_and_what_none_is_about_stays() -> None:
    rules = (about("1.*", keep=True), about("*", older=10 * DAY))
    assert gone(tag("1.0", 1), tag("2.0", 1), rules=rules) == ["2.0"]
    assert gone(tag("1.0", 1), tag("2.0", 1), rules=tuple(reversed(rules))) == ["1.0", "2.0"]
    assert gone(tag("other", 1), rules=(about("main-*", older=1),)) == []
    elsewhere = Rule(images=Patterns(["team/*"]), tags=TagPatterns(["*"]), older=1)
    assert gone(tag("1.0", 1), rules=(elsewhere,)) == []


def test_several_conditions_have_to_hold_together() -> None:
    rule = about("main-*", newest=1, unused=10 * DAY)
    used, idle, new = tag("main-1", 10, pulled=95), tag("main-2", 20, pulled=30), tag("main-3", 30)
    assert gone(used, idle, new, rules=(rule,)) == ["main-2"]


def test_neither_written_once_nor_signatures_nor_caches_go_by_a_rule_about_tags() -> None:
    everything = about("*", older=1)
    signature = f"sha256-{'a' * 64}.sig"
    facts = (tag("1.0", 1, once=True), tag(signature, 1), tag("cached", 1, cache=True))
    assert gone(*facts, rules=(everything,)) == []
    assert gone(tag("kept", 1), tag("cached", 2, cache=True), rules=(about("*", newest=1),)) == [], "no cache is newer"


@pytest.mark.parametrize(("since", "pulled", "counted", "goes"), [
    (1, None, 0, True), (1, 95, 0, False), (95, None, 0, False), (1, 50, 95, False), (1, 50, 80, True),
])  # fmt: skip
def test_unused_is_neither_pulled_nor_set_nor_unknown(since: int, pulled: int | None, counted: int, goes: bool) -> None:
    assert bool(gone(tag("a", since, pulled), rules=(about("*", unused=14 * DAY),), counted=counted)) is goes


def test_of_tags_that_were_set_at_once_the_names_decide_so_that_two_plans_agree() -> None:
    facts = [tag(name, 5) for name in ("a", "b", "c")]
    for order in (facts, list(reversed(facts))):
        assert gone(*order, rules=(about("*", newest=1),)) == ["a", "b"]


def test_a_pull_is_broken_if_it_came_after_a_longer_pause_than_the_rule_allows() -> None:
    days = {20: 1, 33: 4, 34: 1, 60: 2}
    rules = Rules((about("*", unused=14 * DAY),))
    assert [(one.day, one.times) for one in broken(rules, IMAGE, [tag("a", 10, 60, days=days)], 0)] == [(60, 2)]
    assert broken(Rules((about("*", keep=True),)), IMAGE, [tag("a", 10, 60, days=days)], 0) == []
    older = Rules((about("*", older=30 * DAY),))
    assert [one.day for one in broken(older, IMAGE, [tag("a", 10, 60, days=days)], 0)] == [60]
    assert broken_untagged(14 * DAY, 10 * DAY, days, 0) == [(60, 2)]


def test_a_pull_is_broken_if_enough_newer_tags_were_there_by_then() -> None:
    newest = Rules((about("*", newest=1),))
    facts = [tag("a", 10, 40, days={15: 1, 40: 1}), tag("b", 20), tag("c", 50)]
    assert [(one.tag, one.day) for one in broken(newest, IMAGE, facts, 0)] == [("a", 40)]


@pytest.mark.parametrize(("rule", "words"), [
    (about("branch-*", unused=14 * DAY), "branch-* unused for 14 d"),
    (about("main-*", newest=10, unused=36 * 3600 * 1_000_000), "main-* unused for 36 h and not of the newest 10"),
    (about("{version}", keep=True), "{version} stay"),
    (Rule(images=Patterns(["a/*"]), untagged=30 * DAY), "untagged of a/* for 30 d"),
])  # fmt: skip
def test_a_rule_is_told_in_words(rule: Rule, words: str) -> None:
    assert str(rule) == words
