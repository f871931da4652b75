"""Roles, rights and repositories: who may do what, and that nothing is done without a rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.access import ALL_RIGHTS, Grant, Principal, Right, Rule, require, rules_of
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import Denied

DEV, UAT, PROD, OTHER = (RepositoryName(name) for name in ("dev", "uat", "prod", "other"))
REPOSITORIES = (DEV, UAT, PROD, OTHER)
LATER = (UAT, PROD)
IMAGE = ImageName("team/app")
NONE: tuple[RepositoryName, ...] = ()
ALL = REPOSITORIES
NO_PUSHES = "Pushing there needs the right `push`, from a role such as `publisher` or a rule under `trust`."

# What each built-in role may do where, with the stages dev, uat, prod. Whatever is not listed is refused.
TABLE: dict[str, dict[Right, tuple[RepositoryName, ...]]] = {
    "publisher": {Right.PULL: ALL, Right.PUSH: (DEV, OTHER)},
    "deployer": {Right.PULL: ALL},
    "promoter": {Right.PULL: ALL, Right.PROMOTE: ALL},
    "auditor": {Right.READ_AUDIT: ALL},
    "operator": {Right.OPERATE: ALL},
    "reporter": {Right.REPORT_RUNNING: ALL},
    "admin": dict.fromkeys(Right, ALL),
}


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("right", Right, ids=lambda right: right.value)
@pytest.mark.parametrize("role", TABLE)
def test_a_role_gives_what_the_table_says(role: str, right: Right, repository: RepositoryName) -> None:
    who = Principal("anna", rules_of([role], LATER))
    given_here = repository in TABLE[role].get(right, NONE)
    assert who.may(right, repository, IMAGE) is given_here
    assert who.holds(right) is (right in TABLE[role])
    if given_here:
        assert require(who, right, repository, IMAGE) == Grant(who, right, repository, IMAGE)
    else:
        with pytest.raises(Denied):
            require(who, right, repository, IMAGE)


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_without_stages_a_publisher_pushes_everywhere(repository: RepositoryName) -> None:
    who = Principal("anna", rules_of(["publisher"], ()))
    assert who.may(Right.PUSH, repository, IMAGE)
    assert not who.may(Right.DELETE, repository, IMAGE)


@given(st.lists(st.sampled_from(sorted(TABLE)), max_size=4), st.sets(st.sampled_from(REPOSITORIES)))
def test_roles_together_give_what_one_of_them_gives(roles: list[str], later: set[RepositoryName]) -> None:
    together = Principal("anna", rules_of(roles, later))
    alone = [Principal("anna", rules_of([role], later)) for role in roles]
    for right in Right:
        assert together.holds(right) is any(one.holds(right) for one in alone)
        for repository in REPOSITORIES:
            assert together.may(right, repository, IMAGE) is any(one.may(right, repository, IMAGE) for one in alone)


RULES = st.builds(
    Rule, st.frozensets(st.sampled_from(sorted(Right, key=str))), st.frozensets(st.sampled_from(REPOSITORIES))
)


@given(
    st.lists(RULES, max_size=4).map(tuple),
    st.sampled_from(sorted(Right, key=str)),
    st.sampled_from(REPOSITORIES),
    st.text(max_size=20),
)
def test_a_grant_is_never_made_without_a_rule_that_gives_it(
    rules: tuple[Rule, ...], right: Right, repository: RepositoryName, name: str
) -> None:
    who = Principal(name, rules)
    has_one = any(right in rule.rights and repository not in rule.outside for rule in rules)
    try:
        grant = require(who, right, repository, IMAGE)
    except Denied:
        assert not has_one
    else:
        assert has_one
        assert (grant.principal, grant.right, grant.repository, grant.image) == (who, right, repository, IMAGE)


@pytest.mark.parametrize("name", ["admin", "system:admin", "scanner-1", "root", "", "publisher", "pierhead"])
def test_a_name_gives_no_rights(name: str) -> None:
    for rules in ((), rules_of([], LATER)):
        who = Principal(name, rules)
        assert not any(who.holds(right) or who.may(right, DEV, IMAGE) for right in Right)


@pytest.mark.parametrize("role", ["owner", "Admin", "admin ", "", "*"])
def test_a_role_that_is_not_built_in_gives_nothing_and_is_an_error(role: str) -> None:
    with pytest.raises(KeyError):
        rules_of([role], ())


def test_admin_holds_every_right_that_there_is() -> None:
    assert frozenset(Right) == ALL_RIGHTS
    (rule,) = rules_of(["admin"], LATER)
    assert rule == Rule(ALL_RIGHTS)


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        (Right.PULL, "anna may not pull from prod/team/app."),
        (Right.PUSH, f"anna may not push to prod/team/app. {NO_PUSHES}"),
        (Right.DELETE, "anna may not delete from prod/team/app. Deleting needs the role `admin`."),
        (Right.PROMOTE, "anna may not promote prod/team/app."),
    ],
)
def test_a_refusal_says_who_may_not_do_what_where(right: Right, sentence: str) -> None:
    with pytest.raises(Denied) as refused:
        require(Principal("anna", ()), right, PROD, IMAGE)
    assert refused.value.message == sentence
    assert refused.value.detail["account"] == "anna"


def test_who_may_not_push_is_told_what_may_be_pushed_or_what_is_missing() -> None:
    team = Rule(frozenset({Right.PUSH}), repositories=Patterns(["dev"]), images=Patterns(["data/*", "team/docs"]))
    narrow = Rule(frozenset({Right.PUSH}), images=Patterns(["data/x"]))
    for who, repository, way_out in (
        (Principal("anna", (team,)), DEV, "There it pushes data/*, team/docs."),
        (Principal("anna", (team,)), UAT, NO_PUSHES),
        (Principal("anna", (team,), limit=(narrow,)), DEV, "The access token is narrower than its account"),
    ):
        with pytest.raises(Denied) as refused:
            require(who, Right.PUSH, repository, IMAGE)
        assert refused.value.message.startswith(f"anna may not push to {repository}/team/app. {way_out}")


def test_a_grant_and_a_principal_cannot_be_changed_afterwards() -> None:
    grant = require(Principal("anna", rules_of(["deployer"], ())), Right.PULL, DEV, IMAGE)
    for one, name in ((grant, "right"), (grant, "repository"), (grant.principal, "rules")):
        with pytest.raises(AttributeError):
            setattr(one, name, Right.PUSH)
