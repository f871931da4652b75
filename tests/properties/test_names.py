from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.digest import Digest
from pierhead.domain.lookup import Reserve, fold_library, library_spelling
from pierhead.domain.names import ImageName, RepositoryName, Tag, parse_reference
from pierhead.domain.refusals import Refusal

WORDS = st.text("abz09", min_size=1, max_size=4)
JOINTS = st.sampled_from([".", "_", "__", "-", "---"])


@st.composite
def components(draw: st.DrawFn) -> str:
    made = draw(WORDS)
    for joint, word in draw(st.lists(st.tuples(JOINTS, WORDS), max_size=3)):
        made += joint + word
    return made


IMAGES = st.lists(components(), min_size=1, max_size=4).map("/".join)
TAGS = st.tuples(
    st.sampled_from(string.ascii_letters + string.digits + "_"),
    st.text(string.ascii_letters + string.digits + "_.-", max_size=127),
).map("".join)
ANYTHING = st.text() | st.text("ab/.-_:A\n\x00 ", max_size=20)


@given(IMAGES)
def test_an_image_name_reads_as_it_is_written(text: str) -> None:
    name = ImageName.parse(text)
    assert ImageName.parse(str(name)) == name == text
    head, rest = name.head()
    assert text == (f"{head}/{rest}" if rest else head)


@given(TAGS)
def test_a_tag_reads_as_it_is_written(text: str) -> None:
    assert Tag.parse(str(Tag.parse(text))) == text
    assert parse_reference(text) == text


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_reads_as_it_is_written(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert Digest.from_raw(digest.raw) == digest
    assert digest.algorithm == algorithm
    assert digest.hex == hashlib.new(algorithm, data).hexdigest()


@given(ANYTHING)
def test_whatever_is_no_name_is_refused_and_nothing_else_happens(text: str) -> None:
    for parse in (ImageName.parse, RepositoryName.parse, Tag.parse, Digest.parse, parse_reference):
        try:
            parsed = parse(text)
        except Refusal:
            continue
        assert parsed == text
        assert text.isprintable()


@given(IMAGES)
def test_both_spellings_of_a_library_image_fold_to_one(text: str) -> None:
    image = ImageName.parse(text)
    asked = library_spelling(image)
    assert library_spelling(asked) == asked
    assert fold_library(asked) == fold_library(image)
    assert library_spelling(image, enabled=False) == image


def meets(pattern: str, name: str) -> bool:
    """The slow and plain meaning of a pattern: every prefix of the pattern against every prefix of the name."""
    row = [True] + [False] * len(name)
    for sign in pattern:
        if sign == "*":
            for at in range(1, len(row)):
                row[at] = row[at] or row[at - 1]
        else:
            row = [False] + [row[at] and name[at] == sign for at in range(len(name))]
    return row[-1]


PATTERNS = st.text("ab*/", max_size=8) | st.text("lib/*", max_size=6).map(lambda text: text.replace("lib", "library"))
SHORT_IMAGES = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join) | st.text(
    "ab", min_size=1, max_size=3
).map(lambda text: f"library/{text}")


@given(st.lists(PATTERNS, max_size=4), SHORT_IMAGES)
def test_a_reserve_holds_what_its_patterns_mean(patterns: list[str], text: str) -> None:
    image = ImageName.parse(text)
    spellings = {str(image), str(library_spelling(image)), str(fold_library(image))}
    expected = any(meets(pattern, name) for pattern in patterns for name in spellings)
    assert Reserve(patterns).holds(image) is expected


@pytest.mark.parametrize(("pattern", "name", "expected"), [("a*b", "ab", True), ("*", "", True), ("a*a", "a", False)])
def test_the_plain_meaning_is_the_known_one(pattern: str, name: str, expected: bool) -> None:
    assert meets(pattern, name) is expected
