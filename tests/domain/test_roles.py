"""Rules as JSON has them, strictly, and as people say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.access import ALL_RIGHTS, Right, Rule
from pierhead.domain.names import RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.refusals_accounts import BodyInvalid
from pierhead.domain.roles import (
    in_words,
    is_account_name,
    is_role_name,
    rules_document,
    rules_of_document,
)

NAMES = st.lists(st.text("ab*-", min_size=1, max_size=5), min_size=1, max_size=3)
RULES = st.lists(
    st.builds(
        Rule,
        st.frozensets(st.sampled_from(Right), min_size=1),
        repositories=NAMES.map(Patterns),
        images=NAMES.map(Patterns),
        tags=NAMES.map(TagPatterns),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@given(RULES)
def test_rules_come_back_from_json_as_they_were(rules: tuple[Rule, ...]) -> None:
    assert rules_of_document(rules_document(rules)) == rules


def test_what_is_left_out_is_everything() -> None:
    assert rules_of_document([{"rights": ["pull"]}]) == (Rule(frozenset({Right.PULL})),)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (None, "rules"),
        ([], "rules"),
        ({}, "rules"),
        ("pull", "rules"),
        ([{"rights": ["pull"]}] * 101, "rules"),
        ([7], "rules[0]"),
        ([{}], "rules[0].rights"),
        ([{"rights": []}], "rules[0].rights"),
        ([{"rights": "pull"}], "rules[0].rights"),
        ([{"rights": ["pull"]}, {"rights": ["pull", "Push"]}], "rules[1].rights[1]"),
        ([{"rights": [None]}], "rules[0].rights[0]"),
        ([{"rights": ["pull"], "image": ["a"]}], "rules[0].image"),
        ([{"rights": ["pull"], "images": []}], "rules[0].images"),
        ([{"rights": ["pull"], "images": ["a"] * 101}], "rules[0].images"),
        ([{"rights": ["pull"], "images": ["Upper"]}], "rules[0].images[0]"),
        ([{"rights": ["pull"], "images": ["/a"]}], "rules[0].images[0]"),
        ([{"rights": ["pull"], "images": ["a//b"]}], "rules[0].images[0]"),
        ([{"rights": ["pull"], "repositories": ["a/b"]}], "rules[0].repositories[0]"),
        ([{"rights": ["pull"], "tags": ["a b"]}], "rules[0].tags[0]"),
        ([{"rights": ["pull"], "tags": ["{version}*"]}], "rules[0].tags[0]"),
        ([{"rights": ["pull"], "outside": ["prod"]}], "rules[0].outside"),
    ],
)
def test_what_is_no_list_of_rules_is_refused_and_the_place_named(document: object, where: str) -> None:
    with pytest.raises(BodyInvalid) as refused:
        rules_of_document(document)
    assert refused.value.message.startswith(f"`{where}` ")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(frozenset({Right.PULL})), "pull on every image"),
        (Rule(ALL_RIGHTS), "everything on every image"),
        (Rule(frozenset({Right.READ_AUDIT})), "read audit"),
        (
            Rule(frozenset({Right.PUSH}), frozenset(map(RepositoryName, ("b", "a")))),
            "push on every image but in a and b",
        ),
        (
            Rule(
                frozenset({Right.PUSH, Right.PULL}),
                repositories=Patterns(["dev"]),
                images=Patterns(["x/*", "y"]),
                tags=TagPatterns(["{version}"]),
            ),
            "pull and push on x/* or y in dev, under tags {version}",
        ),
        (Rule(frozenset({Right.PULL}), tags=TagPatterns(["1.*"])), "pull on every image"),
    ],
)
def test_a_rule_is_said_in_words(rule: Rule, words: str) -> None:
    assert in_words(rule) == words


@pytest.mark.parametrize(
    ("name", "account", "role"),
    [
        ("anna", True, True),
        ("Anna@x.org", True, False),
        ("system-anna", True, True),
        ("anonymous", False, True),
        ("pierhead", False, True),
        ("system:anna", False, False),
        ("scanner-a b", False, False),
        ("", False, False),
        ("a\n", False, False),
        ("a" * 129, False, False),
        ("a..b", True, False),
        ("a/b", False, False),
        ("\N{LATIN SMALL LETTER A WITH DIAERESIS}", False, False),
    ],
)
def test_names_of_accounts_and_roles_have_a_grammar(name: str, account: bool, role: bool) -> None:
    assert (is_account_name(name), is_role_name(name)) == (account, role)
