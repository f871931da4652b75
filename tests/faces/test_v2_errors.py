"""Refusals in the words of the specification: every one has its code, and none but those that it lists."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from pierhead.domain import refusals, refusals_tags
from pierhead.domain.refusals import MethodUnsupported, Refusal, RouteUnknown, Unavailable
from pierhead.faces.v2.errors import TABLE, quoted, unavailable
from pierhead.faces.v2.route import parse

# OCI distribution specification, "Error Codes"; UNAVAILABLE is distribution's own and stands on 5xx only.
SPECIFIED = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


def all_refusals() -> Iterator[type[Refusal]]:
    for _, one in [found for home in (refusals, refusals_tags) for found in inspect.getmembers(home, inspect.isclass)]:
        if issubclass(one, Refusal) and one is not Refusal:
            yield one


@pytest.mark.parametrize("kind", list(all_refusals()), ids=lambda kind: kind.__name__)
def test_each_refusal_has_a_status_and_a_code_of_the_specification(kind: type[Refusal]) -> None:
    status, code = TABLE[kind]
    assert code in SPECIFIED
    assert 400 <= status < 500
    assert (status == 429) == (code == "TOOMANYREQUESTS")
    assert (status == 401) == (code == "UNAUTHORIZED")


@pytest.mark.parametrize(("kind", "status"), [("bad_answer", 502), ("down", 503), ("slow", 504)])
def test_trouble_outside_is_5xx_with_its_reason_in_the_warning_too(kind: str, status: int) -> None:
    answer = unavailable(Unavailable('Docker Hub says "no".', kind=kind, retry_after=7))
    headers = dict(answer.headers)
    assert answer.status == status
    assert headers["Retry-After"] == "7"
    assert headers["Warning"] == "199 - \"Docker Hub says 'no'.\""
    assert b'"UNAVAILABLE"' in bytes(answer.body)


def test_an_address_that_is_none_and_a_wrong_method_are_told_what_there_is() -> None:
    for target in ("/v2/a/tags/", "/v2/_catalog/", "/v2/app/latest", "/v2/app"):
        with pytest.raises(RouteUnknown, match="Behind an image's name stands /manifests/TAG, "):
            parse(target)
    assert MethodUnsupported("GET", ["POST"]).message == "GET is not answered at this address; POST is."
    assert MethodUnsupported("PUT", ["GET", "HEAD"]).message == "PUT is not answered at this address; GET, HEAD are."


def test_what_stands_in_a_header_is_plain_and_bounded() -> None:
    assert quoted('a"b\\c\r\nX: 1é') == "a'b'c''X: 1'"
    assert len(quoted("x" * 10_000)) == 400
