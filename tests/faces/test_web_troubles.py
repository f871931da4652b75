"""Refusals as pages: every one has a status and a heading."""

from __future__ import annotations

import pytest

from pierhead.domain.refusals import Refusal
from pierhead.faces.rest.problems import TABLE as PROBLEMS
from pierhead.faces.web.pages.error import TABLE
from tests.domain.test_refusals import kinds


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.__module__.startswith("pierhead")], ids=str)
def test_each_refusal_has_the_status_of_the_rest_api_and_a_heading(kind: type[Refusal]) -> None:
    status, heading = TABLE[kind]
    assert status == PROBLEMS[kind].status
    assert heading
    assert not heading.endswith(".")
