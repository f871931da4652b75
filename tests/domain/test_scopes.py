"""Scopes are read leniently and give no more than they say; rules survive being put into a token."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain import limits
from pierhead.domain.access import Principal, Right, Rule, Rules
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.scopes import Access, Scope, pack, parse_scopes, rules_for, unpack

PULL, PUSH, DELETE = Right.PULL, Right.PUSH, Right.DELETE
ALL = frozenset({PULL, PUSH, DELETE})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("repository:team/app:pull", [("team/app", {PULL})]),
        ("repository:team/app:pull,push", [("team/app", {PULL, PUSH})]),
        ("repository:team/app:push,pull,fly", [("team/app", {PULL, PUSH})]),
        ("repository:team/app:*", [("team/app", ALL)]),
        ("repository:team/app:delete", [("team/app", {DELETE})]),
        ("repository(plugin):team/app:pull", [("team/app", {PULL})]),
        ("repository:host:5000/team/app:pull", [("host:5000/team/app", {PULL})]),
        ("repository:a:pull repository:b:push", [("a", {PULL}), ("b", {PUSH})]),
        ("repository:a:pull repository:a:push", [("a", {PULL, PUSH})]),
        ("registry:catalog:*", [("catalog", ALL)]),
        ("repository:a,b:*", [("a,b", ALL)]),
        *((text, []) for text in (
            "", " ", ":", "::", "repository", "repository:", "repository:a", "repository::pull", "repository:a:",
            "repository:a:fly", "repository:a:PULL", "Repository:a:pull", "image:a:pull", "registry:catalog:pull",
            "\0", "repository:a:pull\0", "{}", "x" * 100_000,
        )),
    ],
)  # fmt: skip
def test_a_scope_asks_for_what_is_understood_of_it(text: str, wanted: list[tuple[str, set[Right]]]) -> None:
    assert [(scope.name, set(scope.rights)) for scope in parse_scopes([text])] == wanted


def test_only_so_many_scopes_are_looked_at() -> None:
    many = [f"repository:a{number}:pull" for number in range(1_000)]
    assert len(parse_scopes(many)) == limits.TOKEN_SCOPES_MAX
    assert len(parse_scopes([" ".join(many)])) == limits.TOKEN_SCOPES_MAX


@given(st.lists(st.text(alphabet="repository:catlgpush,*() \0é/", max_size=60), max_size=5))
def test_no_text_makes_it_fail_and_each_scope_is_one_that_was_written(texts: list[str]) -> None:
    for scope in parse_scopes(texts):
        assert isinstance(scope, Scope)
        assert scope.rights
        assert any(scope.name in text for text in texts)


NAMES = st.sampled_from(["dev", "prod", "proxy"])
IMAGES = st.sampled_from(["team/app", "team/other", "library/python"])
ACCESS = st.builds(
    Access,
    NAMES.map(RepositoryName),
    IMAGES.map(ImageName),
    st.frozensets(st.sampled_from(sorted(ALL, key=lambda right: right.value)), min_size=1),
    st.just(1),
)


@given(st.lists(ACCESS, max_size=8))
def test_the_rules_of_a_token_say_what_its_entries_say_and_nothing_else(access: list[Access]) -> None:
    rules = rules_for(access)
    for right in Right:
        for repository in map(RepositoryName, ("dev", "prod", "proxy", "another")):
            for image in map(ImageName, ("team/app", "team/other", "library/python", "team/app/more", "team")):
                said = any(right in one.rights and (one.repository, one.image) == (repository, image) for one in access)
                assert any(rule.gives(right, repository, image) for rule in rules) is said


def test_members_of_a_group_are_one_rule() -> None:
    access = [Access(RepositoryName(f"r{at}"), ImageName("a"), frozenset({PULL}), at) for at in range(20)]
    assert len(rules_for(access)) == 1


PATTERNS = st.lists(st.sampled_from(["*", "a/*", "a", "b*c", "*-rc"]), min_size=1, max_size=3)
RULES = st.lists(
    st.builds(
        Rule,
        st.frozensets(st.sampled_from(list(Right)), min_size=1),
        st.frozensets(NAMES.map(RepositoryName), max_size=2),
        PATTERNS.map(Patterns),
        PATTERNS.map(Patterns),
        st.one_of(PATTERNS, st.just(["{version}"])).map(TagPatterns),
    ),
    max_size=4,
).map(tuple)


@given(RULES)
def test_rules_come_out_of_a_token_as_they_went_in(rules: Rules) -> None:
    written = json.loads(json.dumps(pack(rules)))
    assert unpack(written) == rules
    assert Principal("job:1", unpack(written)) == Principal("job:1", rules)


@pytest.mark.parametrize("packed", [[[]], [[["fly"], [], [], [], []]], [[["pull"]]], [[[], [], [], [], [], []]]])
def test_what_was_never_packed_is_no_rule(packed: list[list[list[str]]]) -> None:
    with pytest.raises(ValueError):
        unpack(packed)
