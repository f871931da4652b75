"""Routes and problems as data: what the code holds is whole and agrees with itself."""

from __future__ import annotations

import inspect
import re

import pytest

from pierhead.domain import (
    refusals,
    refusals_accounts,
    refusals_id_tokens,
    refusals_names,
    refusals_promotion,
    refusals_running,
    refusals_tags,
)
from pierhead.domain.refusals import MethodUnsupported, NameInvalid, Refusal, RouteUnknown
from pierhead.faces.rest.problems import PROBLEMS, TABLE
from pierhead.faces.rest.routes import ROOT, ROUTES, find

HOMES = (
    refusals,
    refusals_accounts,
    refusals_id_tokens,
    refusals_names,
    refusals_promotion,
    refusals_running,
    refusals_tags,
)
ALL_REFUSALS = {
    kind
    for home in HOMES
    for _, kind in inspect.getmembers(home, inspect.isclass)
    if issubclass(kind, Refusal) and kind is not Refusal
}


def test_every_refusal_has_its_problem_and_no_other_has() -> None:
    assert set(TABLE) == ALL_REFUSALS


def test_a_code_means_one_refusal_only() -> None:
    codes = [problem.code for problem in TABLE.values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_what_to_do_is_a_sentence_or_nothing() -> None:
    assert [one.code for one in PROBLEMS if one.do and not one.do.endswith((".", "!"))] == []


def test_an_image_of_several_parts_ends_at_the_hyphen() -> None:
    route, values = find("GET", f"{ROOT}/repositories/dev/images/a/b/tags/-/tags/1.0.0")
    assert route.path == "/repositories/{repository}/images/{image}/-/tags/{tag}"
    assert values == {"repository": "dev", "image": "a/b/tags", "tag": "1.0.0"}


def test_encoded_slashes_and_colons_are_what_they_stand_for() -> None:
    digest = "sha256%3A" + "0" * 64
    route, values = find("DELETE", f"{ROOT}/repositories/dev/images/a%2Fb/-/manifests/{digest}")
    assert route.method == "DELETE"
    assert values == {"repository": "dev", "image": "a/b", "digest": "sha256:" + "0" * 64}


def test_head_is_answered_where_get_is() -> None:
    assert find("HEAD", f"{ROOT}/status")[0] is find("GET", f"{ROOT}/status")[0]


@pytest.mark.parametrize(
    "target",
    [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/status",
        "/api/v1/status/",
        "/api/v1//status",
        "/api/v1/repositories/dev/images/-/tags",
        "/api/v1/repositories/dev/images/a/-/tags/1/2",
        "/api/v1/repositories/dev/images/a/tags",
        "/api/v1/repositories/dev/images/a/-",
    ],
)
def test_what_is_not_exactly_a_route_is_none(target: str) -> None:
    with pytest.raises(RouteUnknown):
        find("GET", target)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(MethodUnsupported) as refused:
        find("PUT", f"{ROOT}/repositories/dev/images/a/-/tags/1")
    assert refused.value.allowed == ("GET", "HEAD", "DELETE")


@pytest.mark.parametrize("part", ["%00", "%0a", "%ff", "%c3%a9"])
def test_encoded_bytes_that_no_name_has_are_refused(part: str) -> None:
    with pytest.raises(NameInvalid):
        find("GET", f"{ROOT}/repositories/{part}")


def test_each_route_finds_itself() -> None:
    for route in ROUTES:
        target = ROOT + re.sub(r"\{\w+\}", "x", route.path)
        assert find(route.method, target)[0] is route
