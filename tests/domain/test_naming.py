"""Rules for names: what is refused, what is warned about, and which name was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.boot.config import load
from pierhead.domain.catalogue import Catalogue, Service
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Action, Judgement, NamePattern, Naming, NamingRule
from pierhead.domain.patterns import Patterns

ROOT = Path(__file__).parents[2]
DEV = RepositoryName("docker-hosted-dev")
HOUSE = Catalogue(
    [
        Service(name="server", image=ImageName("orchestrator/server"), project_id="5"),
        Service(name="runner-api", image=ImageName("orchestrator/runner-service"), project_id="22"),
        Service(name="tool", image=ImageName("tools/hammer")),
    ]
)
PARTS = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(lambda name: len(name) < 200)


def rule(*patterns: str, **more: object) -> NamingRule:
    found = tuple(NamePattern(one) for one in patterns) or (NamePattern("*"),)
    return NamingRule(**{"name": "r", "patterns": found, **more})  # type: ignore[arg-type]


def judge(image: str, *rules: NamingRule, repository: str = DEV) -> Judgement | None:
    return Naming(rules, HOUSE).judge(RepositoryName(repository), ImageName(image))


def said(image: str, *rules: NamingRule) -> str:
    found = judge(image, *rules)
    return "" if found is None else found.sentence


def test_the_house_of_the_example_refuses_each_wrong_name_and_says_the_right_one() -> None:
    shared = load(ROOT / "examples" / "cwiq" / "shared.yaml")
    naming = Naming(shared.naming, shared.services)
    for service in shared.services.values():
        project = service.last
        prefix = f"Images have no `cwiq-` prefix here. Push to {service.image}."
        old = f"`orchestrator-{project}` is the old spelling. Set NEXUS_IMAGE_NAME to {service.image} (GitLab project"
        for wrong, sentence in (
            (f"cwiq-{project}", prefix),
            (f"orchestrator/cwiq-{project}", prefix),
            (f"orchestrator-{project}", f"{old} {service.project_id})."),
            (project, f"Images are called orchestrator/ and the project here. Push to {service.image}."),
        ):
            found = naming.judge(DEV, ImageName(wrong))
            assert found is not None
            assert found.refuses
            assert found.sentence == sentence
        if service.name != project:
            found = naming.judge(DEV, ImageName(f"orchestrator/{service.name}"))
            assert found is not None
            assert (found.rule, found.right) == ("service-instead-of-image", service.image)
        assert naming.judge(DEV, service.image) is None


@pytest.mark.parametrize(
    ("image", "rule_name", "right"),
    [
        ("orchestrator/sever", "misspelt", "orchestrator/server"),
        ("orchestartor/server", "misspelt", "orchestrator/server"),
        ("orchestrator/cwiq-sever", "no-prefix", "orchestrator/server"),
        ("orchestrator-cwiq-server", "old-spelling", "orchestrator/server"),
        ("orchestrator/orchestrator-server", "old-spelling", "orchestrator/server"),
        ("cwiq-orchestrator/server", "no-prefix", "orchestrator/server"),
        ("docker-hosted-dev/orchestrator/server", "path-at-a-port", "orchestrator/server"),
        ("docker-group/orchestrator/sever", "path-at-a-port", "orchestrator/server"),
        ("cwiq-agent-runner", "no-prefix", "orchestrator/mcp"),
        ("cwiq-new-thing", "no-prefix", "orchestrator/new-thing"),
        ("orchestrator/new-thing", "not-in-the-catalogue", None),
    ],
)
def test_the_right_name_is_found_from_rules_and_catalogue(image: str, rule_name: str, right: str | None) -> None:
    shared = load(ROOT / "examples" / "cwiq" / "shared.yaml")
    found = Naming(shared.naming, shared.services).judge(DEV, ImageName(image))
    assert found is not None
    assert (found.rule, found.right) == (rule_name, right)


@pytest.mark.parametrize("image", ["datastore/postgres", "python", "library/python", "orchestrator/server/cache"])
def test_names_that_no_rule_of_the_example_is_about_are_free(image: str) -> None:
    shared = load(ROOT / "examples" / "cwiq" / "shared.yaml")
    assert Naming(shared.naming, shared.services).judge(DEV, ImageName(image)) is None


@given(NAMES)
def test_without_rules_nothing_is_refused(image: str) -> None:
    assert judge(image) is None


@given(NAMES)
def test_what_the_catalogue_has_is_right_whatever_the_rules_say(image: str) -> None:
    mine = Catalogue([Service(name="s", image=ImageName(image))])
    assert Naming([rule(near=3), rule()], mine).judge(DEV, ImageName(image)) is None
    assert Naming([rule()], HOUSE).judge(DEV, ImageName("a/b")) is not None


@given(NAMES)
def test_a_suggestion_is_a_name_that_no_rule_refuses(image: str) -> None:
    rules = [rule("cwiq-{p}", "{f}/cwiq-{p}", suggestion="orchestrator/{p}"), rule("{p}", suggestion="cwiq-{p}")]
    found = Naming(rules, HOUSE).judge(DEV, ImageName(image))
    if found is not None and found.right is not None:
        assert ImageName.parse(found.right) == found.right != image
        again = Naming(rules, HOUSE).judge(DEV, found.right)
        assert again is None or not again.refuses


def test_the_first_rule_decides_and_one_that_is_off_is_about_nothing() -> None:
    assert said("a/b", rule("a/*", message="One."), rule("a/*", message="Two.")) == "One."
    assert said("a/b", rule("a/*", action=Action.OFF, message="One."), rule("a/*", message="Two.")) == "Two."
    assert judge("a/b", rule("a/*", action=Action.ALLOW), rule("*")) is None
    warned = judge("a/b", rule("a/*", action=Action.WARN))
    assert warned is not None
    assert not warned.refuses


def test_a_rule_holds_where_it_says() -> None:
    only = rule("*", repositories=Patterns(["docker-hosted-*"]))
    assert judge("a", only) is not None
    assert judge("a", only, repository="scratch") is None


def test_a_hint_of_which_a_word_is_not_known_gives_way_to_a_plain_one() -> None:
    hint = "Use {suggestion} (project {project_id})."
    assert said("x-server", rule("x-{p}", message="No.", hint=hint)) == "No. Use orchestrator/server (project 5)."
    assert said("x-hammer", rule("x-{p}", message="No.", hint=hint)) == "No. Push to tools/hammer."
    assert said("x-nothing", rule("x-{p}", message="No.", hint=hint)) == "No."


def test_the_right_name_stands_in_no_part_of_the_sentence_but_the_hint() -> None:
    found = judge("x-server", rule("x-{p}", suggestion="orchestrator/{p}"))
    assert found is not None
    assert found.why == "`x-server` is not how images are called here."
    assert found.sentence == "`x-server` is not how images are called here. Push to orchestrator/server."


@pytest.mark.parametrize("text", ["A", "a b", "{a", "{A}", "{a}{a}", "*a*b*c*", "a{b}c{d}e{f}*", "{}"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        NamePattern(text)
