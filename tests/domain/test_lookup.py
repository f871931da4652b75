from __future__ import annotations

import pytest

from pierhead.domain.lookup import Reserve, fold_library, library_spelling, split_path
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import NameInvalid, RepositoryUnknown

KNOWN = frozenset({RepositoryName.parse("docker-hosted-dev"), RepositoryName.parse("docker-group")})


@pytest.mark.parametrize(
    ("image", "asked"),
    [("nginx", "library/nginx"), ("library/nginx", "library/nginx"), ("bitnami/nginx", "bitnami/nginx")],
)
def test_a_one_word_name_is_asked_as_library(image: str, asked: str) -> None:
    assert library_spelling(ImageName.parse(image), enabled=True) == asked
    assert library_spelling(ImageName.parse(image), enabled=False) == image


def test_a_name_too_long_for_library_is_refused() -> None:
    with pytest.raises(NameInvalid):
        library_spelling(ImageName.parse("a" * 250))


@pytest.mark.parametrize(
    ("image", "short"),
    [
        ("library/nginx", "nginx"),
        ("nginx", "nginx"),
        ("library", "library"),
        ("library/a/b", "library/a/b"),
        ("mylibrary/nginx", "mylibrary/nginx"),
    ],
)
def test_the_short_spelling_drops_library(image: str, short: str) -> None:
    assert fold_library(ImageName.parse(image)) == short


@pytest.mark.parametrize(
    ("pattern", "held", "free"),
    [
        (
            "orchestrator/*",
            ["orchestrator/server", "orchestrator/a/b"],
            ["orchestrator", "xorchestrator/a", "a/orchestrator/b"],
        ),
        ("orchestrator*", ["orchestrator", "orchestrator-x", "orchestrator/a"], ["orchestrato", "my/orchestrator"]),
        ("*/server", ["a/server", "a/b/server"], ["a/server/b", "a/servers"]),
        ("*", ["a", "a/b"], []),
        ("a*b*c", ["abc", "axbxc", "a/b/c", "abbcc"], ["ab", "acb", "abcd"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("ab*bc", ["abbc", "abxbc"], ["abc"]),
        ("a**b", ["ab", "axb"], ["a"]),
        ("nginx", ["nginx", "library/nginx"], ["nginx2", "x/nginx"]),
        ("library/*", ["nginx", "library/nginx", "library/a/b"], ["x/nginx"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a[bc]", [], ["ab", "ac"]),
        ("a?", [], ["ab"]),
        ("", [], ["a"]),
    ],
)
def test_a_pattern_holds_names_and_leaves_others(pattern: str, held: list[str], free: list[str]) -> None:
    reserve = Reserve([pattern])
    assert [name for name in held if not reserve.holds(ImageName.parse(name))] == []
    assert [name for name in free if reserve.holds(ImageName.parse(name))] == []


def test_nothing_is_reserved_without_patterns() -> None:
    assert not Reserve([])
    assert not Reserve([]).holds(ImageName.parse("a"))


def test_one_of_several_patterns_is_enough() -> None:
    reserve = Reserve(["x", "team/*", "*-internal"])
    assert [name for name in ("x", "team/a", "a-internal", "y") if reserve.holds(ImageName.parse(name))] == [
        "x",
        "team/a",
        "a-internal",
    ]


def test_many_stars_take_no_more_than_one_look_at_the_name() -> None:
    """With a matcher that goes back, this pattern would not be done before the test's time is over."""
    assert not Reserve(["*a" * 120 + "*b"]).holds(ImageName.parse("a" * 255))


def test_a_path_is_a_repository_and_an_image() -> None:
    assert split_path("docker-hosted-dev/orchestrator/server", KNOWN) == ("docker-hosted-dev", "orchestrator/server")


def test_an_unknown_repository_is_refused_with_those_there_are() -> None:
    with pytest.raises(RepositoryUnknown, match="docker-group, docker-hosted-dev"):
        split_path("library/nginx", KNOWN)


@pytest.mark.parametrize("full", ["docker-group", "docker-group/", "docker-group/A", "A/b", "", "/a", "docker-group//"])
def test_a_path_without_both_names_is_refused(full: str) -> None:
    with pytest.raises(NameInvalid):
        split_path(full, KNOWN)
