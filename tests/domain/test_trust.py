"""Trust rules: how claims are compared, what holds, and what is said when nothing does."""

from __future__ import annotations

import pytest

from pierhead.domain.access import Right, Rule
from pierhead.domain.patterns import Patterns
from pierhead.domain.trust import TrustRule, Wanted, holding, looked_at, subject_of, texts_at, why_none

PULL = Rule(frozenset({Right.PULL}))


def rule(**claims: str | list[str]) -> TrustRule:
    wanted = [Wanted((name,), tuple(said) if isinstance(said, list) else (said,)) for name, said in claims.items()]
    return TrustRule("r", tuple(wanted), PULL)


@pytest.mark.parametrize(
    ("said", "wanted", "fits"),
    [
        ("5", "5", True), (5, "5", True), ("05", "5", False), (5.0, "5", False), ("5 ", "5", False),
        (True, "true", True),
        ("True", "true", False), (["4", "5"], "5", True), ([4, 5], "5", True), ([], "5", False), ({"5": 1}, "5", False),
        ([["5"]], "5", False), (None, "None", False), ("55", "5", False), ("*", "5", False),
    ],
)  # fmt: skip
def test_a_claim_is_compared_whole_and_as_text(said: object, wanted: str, fits: bool) -> None:
    assert bool(holding([rule(project_id=wanted)], {"project_id": said})) is fits


def test_every_claim_of_a_rule_has_to_fit_and_every_rule_that_fits_counts() -> None:
    rules = [rule(project_id="5"), rule(project_id=["4", "5"], ref="main"), rule(project_id="5", ref="other")]
    assert holding(rules, {"project_id": "5", "ref": "main"}) == (rules[0], rules[1])
    assert holding(rules, {"project_id": "5"}) == (rules[0],)
    assert holding(rules, {}) == ()


def test_a_claim_inside_another_is_found_by_its_path_and_not_by_dots() -> None:
    claims = {"kubernetes.io": {"namespace": "builds", "serviceaccount": {"uid": "u"}}, "a.b": "c"}
    assert texts_at(claims, ("kubernetes.io", "serviceaccount", "uid")) == ("u",)
    assert texts_at(claims, ("a.b",)) == ("c",)
    assert texts_at(claims, ("a", "b")) == ()
    assert texts_at(claims, ("a.b", "c")) == ()


def test_a_pattern_meets_only_where_it_was_asked_for() -> None:
    like = TrustRule("r", (Wanted(("ref",), like=Patterns(["release/*", "main"])),), PULL)
    assert holding([like], {"ref": "release/1.4"})
    assert not holding([like], {"ref": "feature/release/1"})
    assert not holding([rule(ref="release/*")], {"ref": "release/1.4"})


def test_what_did_not_fit_is_told_of_the_rules_that_come_nearest_and_ids_are_not_given_away() -> None:
    rules = [rule(project_id="5", ref_protected="true"), rule(project_id="4", ref="main", ref_type="branch")]
    assert why_none(rules, {"project_id": "99", "ref_protected": "true"}) == "`project_id` is `99`, which fits no rule"
    assert why_none(rules, {"project_id": "5", "ref_protected": "false", "ref": "x", "ref_type": "tag"}) == (
        "`ref_protected` is `false` where `true` is wanted"
    )
    assert why_none(rules, {"project_id": "5"}) == "`ref_protected` is not in it"
    assert why_none([], {}) == "there are no rules"
    assert looked_at(rules) == ("project_id", "ref", "ref_protected", "ref_type")
    assert "\n" not in why_none(rules, {"project_id": "9\n9"})


def test_whose_token_it_is_does_not_change_with_a_name() -> None:
    assert subject_of({"project_id": "5", "sub": "project_path:a/b"}) == "project/5"
    assert subject_of({"repository_id": 7, "sub": "repo:a/b"}) == "repository/7"
    assert subject_of({"sub": "system:serviceaccount:builds:kaniko"}) == "system:serviceaccount:builds:kaniko"
    assert subject_of({"project_id": ["1", "2"], "sub": "s"}) == "s"
    assert subject_of({}) == "nobody"
