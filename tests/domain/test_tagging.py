"""Tags for what happened in Git, slugs as GitLab makes them, and what a tag is by the strategy."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pierhead.domain.names import Tag
from pierhead.domain.patterns import Patterns
from pierhead.domain.policy import OnceRule, WritePolicy, Writing
from pierhead.domain.tagging import (
    BUILT_IN,
    NoTags,
    Pipeline,
    Strategy,
    TagClass,
    TagRule,
    pipeline_of,
    slug_of,
    tags_for,
)

SHA = "a1b2c3d4"

# From GitLab's own tests: spec/lib/gitlab/utils_spec.rb (slugify) and spec/models/ci/build_spec.rb (ref_slug).
SLUGS = {
    "TEST": "test",
    "project_with_underscores": "project-with-underscores",
    "namespace/project": "namespace-project",
    "a" * 70: "a" * 63,
    "test_trailing_": "test-trailing",
    "master": "master",
    "1-foo": "1-foo",
    "fix/1-foo": "fix-1-foo",
    "fix-1-foo": "fix-1-foo",
    "a" * 63: "a" * 63,
    "a" * 64: "a" * 63,
    "FOO": "foo",
    "-" + "a" * 61 + "-": "a" * 61,
    "-" + "a" * 62 + "-": "a" * 62,
    "-" + "a" * 63 + "-": "a" * 62,
    "a" * 62 + " ": "a" * 62,
}


@pytest.mark.parametrize("ref", SLUGS)
def test_a_slug_is_gitlabs(ref: str) -> None:
    assert slug_of(ref) == SLUGS[ref]


@pytest.mark.parametrize(
    ("ref", "slug"),
    [
        ("a--b", "a--b"),  # what GitLab does not squeeze stays
        (".hidden/x", "hidden-x"),
        ("feature/Ümlaut", "feature--mlaut"),  # one hyphen a character, whatever it takes in bytes
        ("日本語", ""),
        ("\N{KELVIN SIGN}elvin", "kelvin"),  # its small letter is the common k
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}x", "i-x"),
        ("a" * 62 + "/b", "a" * 62),
    ],
)
def test_odd_names_make_the_slugs_that_gitlabs_rule_makes_of_them(ref: str, slug: str) -> None:
    assert slug_of(ref) == slug


@given(st.text(min_size=1, max_size=300))
def test_a_slug_is_short_plain_and_made_once(ref: str) -> None:
    slug = slug_of(ref)
    assert re.fullmatch(r"|[a-z0-9]|[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", slug)
    assert slug_of(slug) == slug


def tags(**variables: str) -> list[str]:
    return [*map(str, tags_for(BUILT_IN, pipeline_of({"CI_COMMIT_SHORT_SHA": SHA, **variables}))[1])]


def refused(**variables: str) -> str:
    with pytest.raises(NoTags) as none:
        tags(**variables)
    assert none.value.line.endswith((".", ")."))
    return none.value.line


def test_main_gets_its_commit_first_and_latest_last() -> None:
    assert tags(CI_COMMIT_BRANCH="main", CI_COMMIT_REF_NAME="main") == [f"main-{SHA}", "latest"]


def test_a_branch_gets_its_slug_and_its_commit() -> None:
    assert tags(CI_COMMIT_BRANCH="feature/Login_Page") == [f"branch-feature-login-page-{SHA}"]
    assert tags(CI_COMMIT_REF_NAME="feature/x") == [f"branch-feature-x-{SHA}"]
    assert tags(CI_COMMIT_BRANCH="mainline") == [f"branch-mainline-{SHA}"]
    assert tags(CI_COMMIT_BRANCH="Main") == [f"branch-main-{SHA}"]


@pytest.mark.parametrize("version", ["1.4.0", "2.0", "1.4.0-rc.1", "20.11.26", "1.0.0-alpha-a.b-c"])
def test_a_version_tag_gets_the_version_and_stable(version: str) -> None:
    told = {"CI_COMMIT_TAG": f"v{version}", "CI_COMMIT_REF_NAME": f"v{version}"}
    assert tags(**told) == [version, "stable"]
    assert tags(**told, CI_COMMIT_SHORT_SHA="") == [version, "stable"]  # needs no commit


def test_a_job_of_a_tag_is_of_no_branch() -> None:
    """gitlab-ci-local sets both."""
    assert tags(CI_COMMIT_TAG="v1.2.3", CI_COMMIT_BRANCH="main") == ["1.2.3", "stable"]


@pytest.mark.parametrize("kind", ["detached", "merged_result", "merge_train", ""])
def test_a_merge_request_is_a_branch_whatever_its_source_is_called(kind: str) -> None:
    told = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7"}
    told |= {"CI_MERGE_REQUEST_EVENT_TYPE": kind, "CI_COMMIT_REF_NAME": "main"}
    assert tags(**told, CI_MERGE_REQUEST_SOURCE_BRANCH_NAME="main") == [f"branch-main-{SHA}"]
    assert tags(**told) == [f"branch-main-{SHA}"]
    named = {**told, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix/x", "CI_COMMIT_REF_NAME": "refs/merge-requests/7/head"}
    assert tags(**named) == [f"branch-fix-x-{SHA}"]
    assert tags(CI_MERGE_REQUEST_SOURCE_BRANCH_NAME="fix/x") == [f"branch-fix-x-{SHA}"]
    assert "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME is not set" in refused(CI_MERGE_REQUEST_IID="7")


# What a job says of itself, and what is said to it.
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, "neither CI_COMMIT_BRANCH nor CI_COMMIT_TAG is set"),
    "detached": ({"CI_COMMIT_REF_NAME": "HEAD"}, "on a detached HEAD, set it yourself"),
    "no commit": ({"CI_COMMIT_BRANCH": "main", "CI_COMMIT_SHORT_SHA": ""}, "CI_COMMIT_SHORT_SHA is not set"),
    "no such commit": ({"CI_COMMIT_BRANCH": "x", "CI_COMMIT_SHORT_SHA": "HEAD"}, "`HEAD`, which is no commit"),
    "no v": ({"CI_COMMIT_TAG": "1.2.3"}, "The Git tag 1.2.3 fits no rule of the tag strategy (tag: release takes v*)."),
    "big V": ({"CI_COMMIT_TAG": "V1.2.3"}, "fits no rule"),
    "no version": ({"CI_COMMIT_TAG": "vnext"}, "names no version. One looks like v1.4.0 or v1.4.0-rc.1."),
    "one number": ({"CI_COMMIT_TAG": "v2"}, "names no version"),
    "v alone": ({"CI_COMMIT_TAG": "v"}, "names no version"),
    "path": ({"CI_COMMIT_TAG": "v1.2/3"}, "names no version"),
    "dots": ({"CI_COMMIT_TAG": "v.1.2"}, "names no version"),
    "build": ({"CI_COMMIT_TAG": "v1.2.3+build.5"}, "Name the release without it, such as v1.2.3, or as a pre-release"),
    "long": ({"CI_COMMIT_TAG": "v1.2.3-" + "a" * 200}, "gives a tag of 206 characters, and a tag has at most 128"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_job_that_cannot_be_tagged_is_told_why(name: str) -> None:
    variables, words = REFUSED[name]
    assert words in refused(**variables)


VARIABLES = ("CI_COMMIT_BRANCH", "CI_COMMIT_TAG", "CI_COMMIT_REF_NAME", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")


@given(st.sampled_from(VARIABLES), st.text(max_size=300))
@example("CI_COMMIT_BRANCH", "x" * 300)
@example("CI_COMMIT_BRANCH", "--")
@example("CI_COMMIT_BRANCH", ".../...")
@example("CI_COMMIT_BRANCH", "日本語")
@example("CI_COMMIT_TAG", "v1.0." + "9" * 300)
def test_whatever_a_ref_is_called_there_are_tags_or_one_sentence(variable: str, ref: str) -> None:
    said = {"CI_COMMIT_SHORT_SHA": SHA, variable: ref}
    if variable.startswith("CI_MERGE"):
        said["CI_PIPELINE_SOURCE"] = "merge_request_event"
    try:
        rule, found = tags_for(BUILT_IN, pipeline_of(said))
    except NoTags as none:
        assert "\n" not in none.line
        assert none.line.isprintable()
        return
    assert found
    for tag in found:
        assert Tag.parse(tag) == tag
        assert len(tag) <= 128
    # What comes out is known again.
    assert BUILT_IN.class_of(found[0]) == TagClass(rule.name, moving=False)


def test_the_first_rule_that_fits_is_taken() -> None:
    own = Strategy(
        (
            TagRule("trains", branch=Patterns(["release/*"]), names=("train-{slug}-{short_sha}", "train-{slug}")),
            TagRule("rest", branch=Patterns(["*"]), names=("{short_sha}",), moving=("edge",)),
            TagRule("nightly", tag=("nightly-*", "night-*"), names=("n{version}", "{version}")),
        )
    )

    def made(pipeline: Pipeline) -> list[str]:
        return [*map(str, tags_for(own, pipeline)[1])]

    assert made(Pipeline(branch="release/1.4", short_sha=SHA)) == [f"train-release-1-4-{SHA}", "train-release-1-4"]
    assert made(Pipeline(branch="main", short_sha=SHA)) == [SHA, "edge"]
    assert made(Pipeline(tag="night-1.2")) == ["n1.2", "1.2"]
    with pytest.raises(NoTags, match=r"no rule is about a merge request"):
        made(Pipeline(merge_request="main", short_sha=SHA))
    assert own.class_of("edge") == TagClass("rest", moving=True)
    assert own.class_of("train-x") == TagClass("trains", moving=False)


def test_a_tag_is_moving_or_not_or_nothing_that_the_strategy_knows() -> None:
    moving = {tag: found.moving for tag in ("latest", "stable") if (found := BUILT_IN.class_of(tag))}
    assert moving == {"latest": True, "stable": True}
    rules = {tag: found.rule for tag in ("main-a1b2", "branch-x-a1b2", "1.4.0") if (found := BUILT_IN.class_of(tag))}
    assert rules == {"main-a1b2": "main", "branch-x-a1b2": "branch", "1.4.0": "release"}
    assert [BUILT_IN.class_of(tag) for tag in ("main", "test2", "v1.4.0", "sha256-" + "0" * 64)] == [None] * 4


def test_a_tag_that_moves_moves_although_a_pattern_meets_it() -> None:
    rule = OnceRule("tags.main", TagRule("main", names=("main-{short_sha}",)).tags, frozenset({"main-latest"}))
    writing = Writing(WritePolicy.ALLOW, (rule,))
    assert writing.is_once(Tag("main-a1b2c3d4"))
    assert not writing.is_once(Tag("main-latest"))
    assert not writing.is_once(Tag("latest"))
    assert not writing.is_once(Tag("sha256-" + "0" * 64))
    # A rule never opens what the policy shuts.
    assert Writing(WritePolicy.ALLOW_ONCE, (rule,)).is_once(Tag("main-latest"))
