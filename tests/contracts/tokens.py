"""What every ``Tokens`` must do. An adapter derives a class and overrides the fixtures ``tokens`` and ``stranger``."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.access import Right, Rule
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.scopes import Access
from pierhead.ports.tokens import Bad, Claims, Tokens

NOW = 1_800_000_000
PULL, PUSH = frozenset({Right.PULL}), frozenset({Right.PUSH, Right.PULL})


@dataclass
class Clock:
    """Stands still until a test moves it."""

    seconds: float = float(NOW)

    def now(self) -> int:
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


def claims(**more: object) -> Claims:
    """Of an account, from five seconds ago, for five minutes."""
    made = Claims("anna", NOW - 5, NOW - 5, NOW + 300, "0123", (access("dev", "team/app", PUSH, 7),))
    return replace(made, **more)


def access(repository: str, image: str, rights: frozenset[Right], row: int) -> Access:
    return Access(RepositoryName(repository), ImageName(image), rights, row)


RULES = (
    Rule(PUSH, frozenset({RepositoryName("prod")}), Patterns(["dev", "d*"]), Patterns(["team/*"]), TagPatterns(["1*"])),
    Rule(PULL),
)
SAID = {
    "an account with one image": claims(),
    "nothing at all": claims(access=()),
    "many images": claims(access=tuple(access(f"r{at}", "team/app", PULL, at) for at in range(20))),
    "the catalogue": claims(access=(), catalog=True),
    "a job with rules of its own": claims(subject="job:group/project#1", rules=RULES, through={"issuer": "https://ci"}),
    "a narrowed account": claims(limit=RULES),
    "narrowed to nothing": claims(limit=()),
}


class TokensContract:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def tokens(self, clock: Clock) -> Tokens:
        raise NotImplementedError

    @pytest.fixture
    def stranger(self, clock: Clock) -> Tokens:
        """Of another installation."""
        raise NotImplementedError

    @pytest.mark.parametrize("what", SAID)
    def test_what_was_signed_is_what_is_read(self, tokens: Tokens, what: str) -> None:
        assert tokens.verify(tokens.sign(SAID[what])) == SAID[what]

    def test_a_token_fits_into_a_header(self, tokens: Tokens) -> None:
        token = tokens.sign(claims())
        assert token.isascii()
        assert not set(token) & set(' ,"\r\n')
        assert len(token) < limits.TOKEN_BYTES_MAX

    def test_it_holds_until_its_end_and_not_a_second_longer(self, tokens: Tokens, clock: Clock) -> None:
        token = tokens.sign(claims())
        for seconds, holds in ((-5, True), (-6, False), (0, True), (299.9, True), (300, False), (361, False)):
            clock.seconds = NOW + seconds
            assert isinstance(tokens.verify(token), Claims) is holds, seconds

    @pytest.mark.parametrize(
        "odd",
        [
            {"ends": NOW - 1},
            {"ends": 0},
            {"starts": NOW + 61},
            {"ends": NOW + limits.TOKEN_SECONDS_MAX + 61},
            {"ends": 10**30},
            {"issued": 0},
            {"issued": -1},
            {"starts": 10**30},
        ],
        ids=str,
    )
    def test_row_89_no_odd_instant_holds(self, tokens: Tokens, odd: dict[str, int]) -> None:
        assert isinstance(tokens.verify(tokens.sign(claims(**odd))), Bad)

    def test_the_service_is_a_name_that_stands_in_a_quoted_string(self, tokens: Tokens, stranger: Tokens) -> None:
        assert tokens.service.isprintable()
        assert not set(tokens.service) & set('"\\ ,')
        assert tokens.service != stranger.service

    def test_no_token_of_another_installation_holds(self, tokens: Tokens, stranger: Tokens) -> None:
        assert isinstance(tokens.verify(stranger.sign(claims())), Bad)

    def test_no_token_that_was_changed_holds(self, tokens: Tokens) -> None:
        token = tokens.sign(claims())
        for at in range(0, len(token) - 1, 7):  # the last character has bits that say nothing
            other = "A" if token[at] != "A" else "B"
            assert isinstance(tokens.verify(token[:at] + other + token[at + 1 :]), Bad), at

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "a" * 100_000,
            "." * 100_000,
            "é.é.é",
            "\0",
            "{}",
            "x" * 6_000 + ".y.z",
            "\ud800",
        ],
        ids=range(12),
    )
    def test_nothing_else_is_a_token_and_what_is_said_repeats_none_of_it(self, tokens: Tokens, text: str) -> None:
        said = tokens.verify(text)
        assert isinstance(said, Bad)
        assert not text or len(text) < 4 or text not in said.why
