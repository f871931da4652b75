from __future__ import annotations

import pytest

from pierhead.domain import limits
from pierhead.domain.manifest import OCI_MANIFEST, parse
from tests.domain.documents import encoded, image, refusal, short


def test_a_key_given_twice_is_refused_wherever_it_stands() -> None:
    body = encoded(image(other={"x": 1}))
    assert "`config` is given twice" in refusal(body.replace(b'"other"', b'"config"'))
    assert "`size` is given twice" in refusal(body.replace(b'"size": 10', b'"size": 10, "size": 10'))
    assert "`x` is given twice" in refusal(body.replace(b'"x": 1', b'"x": 1, "x": 1'))


GOOD = encoded(image())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON at line 1 column 1"),
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (GOOD.decode().encode("utf-16"), "not UTF-8 at byte 0"),
        (GOOD.decode().encode("utf-16-le"), "not JSON"),
        (GOOD + GOOD, "Extra data"),
        (GOOD + b"\x00", "Extra data"),
        (GOOD[:-2], "not JSON"),
        (b"[" + GOOD + b"]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": NaN'), "NaN"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": -Infinity'), "-Infinity"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": "\\ud800"'), "surrogate"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": ["\\uDFff\\ud800"]'), "surrogate"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "\\ud83d": 0'), "surrogate"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": "\xed\xa0\x80"'), "not UTF-8"),
        (GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": "a\nb"'), "control character"),
        (GOOD.replace(b'"schemaVersion": 2', b"'schemaVersion': 2"), "not JSON"),
        (b"// comment\n" + GOOD, "not JSON"),
    ],
)
def test_what_is_no_strict_json_is_refused_with_the_place(body: bytes, why: str) -> None:
    assert why in refusal(body)


# --- nesting: no recursion, whatever comes -------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    """A good manifest whose innermost bracket stands at `levels`."""
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    return GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": ' + inner)


def test_nesting_up_to_the_limit_is_taken_and_not_beyond() -> None:
    assert parse(nested(limits.MANIFEST_NESTING_MAX), None).media_type == OCI_MANIFEST
    assert "nested deeper than 32 levels" in refusal(nested(limits.MANIFEST_NESTING_MAX + 1))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
        b"[" * 1_000,
        b'{"a":[' * 1_000,
        b"[" * 40 + b'"' + b'\\"' * 100_000,
        b"[" * 40 + b'"\\',
        b"[[]," * 10_000,
        b"]" * 50 + b"[" * 50,
    ],
    ids=short,
)
def test_deep_nesting_is_refused_before_it_is_parsed(body: bytes) -> None:
    assert "nested" in refusal(body) or "made of more than" in refusal(body) or "not JSON" in refusal(body)


def test_brackets_in_texts_are_no_nesting() -> None:
    text = "[{" * 1_000 + '"]\\"[' + "\\" * 7 + "[" * 1_000
    assert parse(encoded(image(annotations={"a": text, text: "b"})), None).annotations["a"] == text


def test_many_objects_side_by_side_are_refused() -> None:
    assert "objects and lists" in refusal(image(x=[[]] * 40_000))
