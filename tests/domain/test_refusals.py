"""Every sentence that refuses something: one line, ended, whatever text it quotes."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterator, Mapping, Sequence

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
from pierhead.domain.refusals import Refusal, RepositoryUnknown, Unavailable, shown

HOSTILE = [
    "a\r\nSet-Cookie: x=1",
    "\x1b[31mred\x1b[0m",
    "nul\x00byte",
    "\udc80 lone",
    "\u202e right to left \u2028 \u0085",
    "ä" * 3,
    "x" * 10_000,
    "",
    "%s {0} `tick`",
]


def kinds() -> list[type[Refusal]]:
    def below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    return sorted(set(below(Refusal)), key=lambda kind: kind.__name__)


def made(kind: type[Refusal], text: str) -> Refusal:
    """A refusal whose every text is `text`, and whose every number is 7."""
    hints = typing.get_type_hints(kind.__init__)
    arguments: dict[str, object] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        choices = typing.get_args(hints[name]) or (hints[name],)
        if hints[name] == Sequence[str]:
            arguments[name] = [text] * 7
        elif hints[name] == Mapping[str, object]:
            arguments[name] = {text: text}
        elif str in choices:
            arguments[name] = text
        elif bool in choices:
            arguments[name] = True
        else:
            assert int in choices, f"{kind.__name__}({name}): teach this test to make one"
            arguments[name] = 7
    return typing.cast(typing.Callable[..., Refusal], kind)(**arguments)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:16])
@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_a_refusal_is_one_line_that_ends(kind: type[Refusal], text: str) -> None:
    refusal = made(kind, text)
    assert refusal.message.isprintable()
    assert refusal.message.endswith((".", "!", "?"))
    assert str(refusal) == refusal.message
    json.dumps(dict(refusal.detail)).encode()


def test_there_are_refusals_to_test() -> None:
    assert len(kinds()) >= 30
    modules = (refusals, refusals_accounts, refusals_id_tokens, refusals_names, refusals_promotion, refusals_running)
    homes = {home.__name__ for home in (*modules, refusals_tags)}
    assert {kind.__module__ for kind in kinds() if kind.__module__.startswith("pierhead")} == homes


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:16])
def test_what_is_out_of_reach_is_told_in_one_line_too(text: str) -> None:
    fault = Unavailable(text, kind="slow", retry_after=3)
    assert fault.message.isprintable()
    assert str(fault) == fault.message
    assert (fault.kind, fault.retry_after) == ("slow", 3)


def test_what_is_shown_is_cut_and_escaped() -> None:
    assert shown("plain/name") == "plain/name"
    assert shown("a\r\nb") == "a\\r\\nb"
    assert len(shown("x" * 10_000)) == 201


def test_an_unknown_repository_names_those_there_are_and_not_all_of_a_thousand() -> None:
    assert "the repositories are a, b." in RepositoryUnknown("x", ["a", "b"]).message
    assert RepositoryUnknown("x", []).message.endswith("REPOSITORY/IMAGE.")
    assert len(RepositoryUnknown("x", [f"repository-{number}" for number in range(1_000)]).message) < 600
