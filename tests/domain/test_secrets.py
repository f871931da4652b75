"""Access tokens: their form, which programs that look for leaks rely on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.secrets import RANDOM_BYTES, access_token, fingerprint_of, hash_of, is_access_token

CHANCE = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(CHANCE)
def test_a_token_is_ph_and_49_letters_and_digits_whatever_chance_gives(chance: bytes) -> None:
    token = access_token(chance)
    assert re.fullmatch(r"ph_[0-9A-Za-z]{49}", token)
    assert is_access_token(token)


@given(CHANCE, CHANCE)
def test_no_two_chances_give_one_token(one: bytes, other: bytes) -> None:
    assert (access_token(one) == access_token(other)) is (one == other)


@given(CHANCE, st.integers(0, 51), st.sampled_from("0aZ_ \N{LATIN SMALL LETTER E WITH ACUTE}"))
def test_one_wrong_letter_is_noticed_without_asking_anybody(chance: bytes, at: int, letter: str) -> None:
    token = access_token(chance)
    wrong = token[:at] + letter + token[at + 1 :]
    assert is_access_token(wrong) is (wrong == token)


@pytest.mark.parametrize(
    "text", ["", "ph_", "ph_" + "0" * 48, "ph_" + "0" * 50, "xx_" + "0" * 49, "ph_" + "\udcff" * 49]
)
def test_other_texts_are_no_tokens(text: str) -> None:
    assert not is_access_token(text)


def test_the_form_never_changes_since_tokens_outlive_versions() -> None:
    assert access_token(bytes(RANDOM_BYTES)) == "ph_" + "0" * 43 + "2CZclj"
    assert hash_of("ph_x").hex().startswith("3ae2fbbb1dc79d6b")


def test_a_fingerprint_is_short_and_tells_hashes_apart() -> None:
    assert len(fingerprint_of("$argon2id$a")) == 8
    assert fingerprint_of("$argon2id$a") != fingerprint_of("$argon2id$b")
