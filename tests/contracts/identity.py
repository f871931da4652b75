"""What every ``IdentitySource`` must do. An adapter derives a class and overrides the fixture ``source``."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.domain.access import Principal, rules_of
from pierhead.ports.identity import Checked, Credential, IdentitySource, NotMine, Wrong

ANNA = Principal("anna", rules_of(["publisher"], ()))
BOB = Principal("bob", rules_of(["deployer"], ()))

PASSWORDS = {
    ANNA: "anna's own secret",
    BOB: "z\u00fcrich \u2713 " + "b" * 100,
}
"""The accounts that a source of passwords under test must know."""

REFUSED = (
    ("", ""),
    ("anna", ""),
    ("", "anna's own secret"),
    ("ANNA", "anna's own secret"),
    ("anna ", "anna's own secret"),
    ("anna", "anna's own secret "),
    ("anna", "anna's own secre"),
    ("anna", "ANNA'S OWN SECRET"),
    ("anna", "anna's own secret\0"),
    ("anna\0", "anna's own secret"),
    ("anna\0bob", "anna's own secret"),
    ("bob", "z\u00fcrich \u2713 " + "b" * 99),
    ("bob", "z\u00fcrich \u2713 " + "b" * 101),
    ("bob", "z\u00fcrich \u2713 " + "b" * 60),
    ("bob", "zu\u0308rich \u2713 " + "b" * 100),
    ("bob", "anna's own secret"),
    ("nobody", "anna's own secret"),
    ("system:anna", "anna's own secret"),
    ("anna", "x" * (1 << 20)),
    ("n" * (1 << 20), "x"),
    ("anna", "lone \ud800 surrogate"),
    ("lone \udcff", "anna's own secret"),
    ("'; DROP TABLE accounts; --", "' OR '1'='1"),
)


def who_it_is(answer: Principal | Checked | NotMine | Wrong) -> Principal | NotMine | Wrong:
    """The answer, however long it may be remembered."""
    return answer.principal if isinstance(answer, Checked) else answer


class IdentitySourceContract:
    @pytest.fixture
    def source(self) -> IdentitySource:
        raise NotImplementedError

    @pytest.fixture
    def right(self) -> dict[Principal, Credential]:
        """Everybody that the source under test knows; the first of them by the credential that is tried most."""
        return {who: Credential(who.name, password) for who, password in PASSWORDS.items()}

    async def test_the_right_credential_gives_the_account_with_its_rules(
        self, source: IdentitySource, right: dict[Principal, Credential]
    ) -> None:
        for who, credential in right.items():
            assert who_it_is(await source.verify(credential)) == who

    @pytest.mark.parametrize(("name", "password"), REFUSED, ids=range(len(REFUSED)))
    async def test_anything_else_gives_nobody_and_raises_nothing(
        self, source: IdentitySource, name: str, password: str
    ) -> None:
        assert isinstance(await source.verify(Credential(name, password)), Wrong | NotMine)

    async def test_who_is_there_cannot_be_told_from_what_is_said(self, source: IdentitySource) -> None:
        there = await source.verify(Credential("anna", "guess"))
        assert there == await source.verify(Credential("nobody", "guess"))

    async def test_what_is_said_repeats_neither_name_nor_password(self, source: IdentitySource) -> None:
        said = repr(await source.verify(Credential("canary-name", "canary-password")))
        assert "canary" not in said

    async def test_answers_are_not_mixed_up_among_many_at_once(
        self, source: IdentitySource, right: dict[Principal, Credential]
    ) -> None:
        asked = [(who, good) for who in right for good in (True, False)] * 3
        heard = await asyncio.gather(
            *(source.verify(right[who] if good else Credential(right[who].name, "wrong")) for who, good in asked)
        )
        for (who, good), answer in zip(asked, heard, strict=True):
            assert (who_it_is(answer) == who) is good

    async def test_one_who_stops_waiting_holds_up_nobody(
        self, source: IdentitySource, right: dict[Principal, Credential]
    ) -> None:
        waiting = [asyncio.ensure_future(source.verify(Credential("anna", f"{number}"))) for number in range(6)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(10):
            who, credential = next(iter(right.items()))
            assert who_it_is(await source.verify(credential)) == who


def test_a_credential_does_not_show_its_password() -> None:
    assert "secret" not in f"{Credential('anna', 'secret')!r} {Credential('anna', 'secret')}"
