"""Rights on patterns of names, and what access tokens and bearer tokens take away from them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.access import Principal, Right, Rule, require, require_tags, rules_of
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.patterns import EVERY, Patterns, TagPatterns
from pierhead.domain.refusals import Denied, ScopeMissing, TagDenied

DEV, PROD = RepositoryName("dev"), RepositoryName("prod")
SERVER, LOADER = ImageName("orchestrator/server"), ImageName("datastore/loader")
PULL, PUSH = frozenset({Right.PULL}), frozenset({Right.PUSH})

PLATFORM = (
    Rule(PULL),
    Rule(PUSH, repositories=Patterns(["dev"]), images=Patterns(["orchestrator/*"])),
)


@pytest.mark.parametrize(
    ("right", "repository", "image", "given_here"),
    [
        (Right.PULL, PROD, LOADER, True),
        (Right.PUSH, DEV, SERVER, True),
        (Right.PUSH, DEV, LOADER, False),
        (Right.PUSH, PROD, SERVER, False),
        (Right.PUSH, DEV, ImageName("orchestrator"), False),
        (Right.DELETE, DEV, SERVER, False),
    ],
)
def test_a_rule_gives_its_rights_on_its_names_alone(
    right: Right, repository: RepositoryName, image: ImageName, given_here: bool
) -> None:
    assert Principal("anna", PLATFORM).may(right, repository, image) is given_here


def test_own_roles_stand_beside_built_in_ones_and_an_unknown_one_gives_nothing() -> None:
    assert rules_of(["team", "deployer"], (), {"team": PLATFORM}) == (*PLATFORM, Rule(PULL))
    with pytest.raises(KeyError):
        rules_of(["team"], (), {})


def test_an_access_token_takes_away_and_gives_nothing() -> None:
    limit = (Rule(PULL | PUSH | {Right.DELETE}, images=Patterns(["datastore/*"])),)
    narrowed = Principal("anna", PLATFORM, limit=limit)
    assert narrowed.may(Right.PULL, DEV, LOADER)
    assert not narrowed.may(Right.PULL, DEV, SERVER)
    assert not narrowed.may(Right.PUSH, DEV, LOADER)
    assert not narrowed.may(Right.DELETE, DEV, LOADER)
    assert not narrowed.holds(Right.DELETE)
    with pytest.raises(Denied):
        require(narrowed, Right.PUSH, DEV, SERVER)


def test_a_bearer_token_that_was_not_asked_for_enough_is_told_so_only_where_asking_would_help() -> None:
    asked = (Rule(PULL, repositories=Patterns(["dev"]), images=Patterns([SERVER])),)
    bearer = Principal("anna", PLATFORM, asked=asked, catalog=False)
    assert bearer.may(Right.PULL, DEV, SERVER)
    with pytest.raises(ScopeMissing):
        require(bearer, Right.PUSH, DEV, SERVER)
    with pytest.raises(Denied):
        require(bearer, Right.PUSH, PROD, SERVER)
    assert bearer.lacks_scope(Right.PULL, PROD, SERVER)
    assert not bearer.lacks_scope(Right.PULL, DEV, SERVER)


def test_an_empty_scope_is_not_the_same_as_none() -> None:
    assert Principal("anna", PLATFORM).may(Right.PULL, DEV, SERVER)
    for nothing in (Principal("anna", PLATFORM, limit=()), Principal("anna", PLATFORM, asked=())):
        assert not any(nothing.may(right, DEV, SERVER) or nothing.holds(right) for right in Right)
        assert not nothing.may_somewhere(Right.PULL, DEV)


def test_everywhere_and_somewhere_are_told_apart() -> None:
    who = Principal("anna", PLATFORM)
    assert who.may_everywhere(Right.PULL, PROD)
    assert who.may_somewhere(Right.PUSH, DEV)
    assert not who.may_everywhere(Right.PUSH, DEV)
    assert not who.may_somewhere(Right.PUSH, PROD)
    outside = Principal("bob", (Rule(PULL, outside=frozenset({PROD})),))
    assert not outside.may_somewhere(Right.PULL, PROD)


@given(
    st.lists(st.text("ab/*", min_size=1, max_size=6), max_size=4),
    st.text("ab/", min_size=1, max_size=8),
)
def test_patterns_meet_what_the_same_regular_expressions_meet(texts: list[str], name: str) -> None:
    expected = any(re.fullmatch(".*".join(map(re.escape, text.split("*"))), name) for text in texts)
    assert Patterns(texts).meets(name) is expected
    assert Patterns(texts) == Patterns(reversed(texts))


@pytest.mark.parametrize(
    ("tag", "meets"),
    [("1.4.0", True), ("2.0", True), ("1.4.0-rc.1", True), ("1", False), ("v1.4.0", False), ("1.4.0-", False),
     ("main-a1b2c3d", False), ("1.4.0.1", False), ("latest", True)],
)  # fmt: skip
def test_versions_are_told_from_other_tags(tag: str, meets: bool) -> None:
    assert TagPatterns(["{version}", "latest"]).meets(tag) is meets


def test_a_push_sets_the_tags_that_a_rule_of_its_image_names() -> None:
    releases = Rule(PUSH, images=Patterns(["orchestrator/*"]), tags=TagPatterns(["{version}"]))
    loose = Rule(PUSH, images=Patterns(["datastore/*"]))
    who = Principal("anna", (releases, loose))
    require_tags(require(who, Right.PUSH, DEV, SERVER), [Tag("1.4.0"), Tag("sha256-" + "0" * 64)])
    require_tags(require(who, Right.PUSH, DEV, LOADER), [Tag("anything")])
    with pytest.raises(TagDenied, match=r"anna may push dev/orchestrator/server, but not under the tag latest"):
        require_tags(require(who, Right.PUSH, DEV, SERVER), [Tag("1.4.0"), Tag("latest")])


def test_every_name_is_met_by_a_lone_star() -> None:
    assert EVERY.every
    assert EVERY.meets("anything/at/all")
    assert not Patterns(["a*"]).every
    assert not Patterns([]).meets("a")
