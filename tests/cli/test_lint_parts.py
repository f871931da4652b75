"""What `pierhead lint` is made of: references of images, and variables."""

from __future__ import annotations

import pytest

from pierhead.cli.linting.reference import split
from pierhead.cli.linting.variables import resolved, shown


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python", ("", "python", "")),
        ("python:3.12", ("", "python", ":3.12")),
        ("library/python:3", ("", "library/python", ":3")),
        ("docker.io/library/python@sha256:ab", ("docker.io", "library/python", "@sha256:ab")),
        ("docker://h:1/a/b:c", ("h:1", "a/b", ":c")),
        ("localhost/a", ("localhost", "a", "")),
        ("h:1/a:t@sha256:ab", ("h:1", "a", ":t@sha256:ab")),
    ],
)
def test_a_reference_is_taken_apart(text: str, parts: tuple[str, str, str]) -> None:
    one = split(text)
    assert (one.host, one.image, one.rest) == parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A/$B", "x/$B"),
        ("${A}y${B}", "xy$B"),
        ("${B:-z}", "z"),
        ("$$A", "$A"),
        ("$LOOP", "$LOOP"),
        ("$DEEP", "xx"),
    ],
)
def test_variables_are_put_in_and_unknown_ones_can_be_shown_again(text: str, value: str) -> None:
    assert shown(resolved(text, {"A": "x", "LOOP": "$LOOP", "DEEP": "$A$A"})) == value
