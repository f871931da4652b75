"""id_tokens: the contract, who somebody is by one, every forged one, and what rules make of those that are genuine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey

from pierhead.domain.access import Principal
from pierhead.domain.refusals_id_tokens import TokenNotAccepted, TokenNotTrusted
from pierhead.domain.trust import TrustRule, Wanted
from pierhead.ports.identity import Credential, IdentitySource, NotMine
from tests.contracts.id_tokens import AUDIENCE, House, house, issuer, rules
from tests.contracts.identity import IdentitySourceContract
from tests.peers import forged
from tests.peers.issuer import (
    KEYS,
    says,
)

__all__ = ["house", "issuer"]


class TestIdTokens(IdentitySourceContract):
    @pytest.fixture
    def source(self, house: House) -> IdentitySource:
        return house.source

    @pytest.fixture
    def right(self, house: House) -> dict[Principal, Credential]:
        return {
            Principal(f"gitlab:project/{project}", (rule.rule,)): Credential("oidc", house.token(project))
            for project, rule in zip((5, 4), rules("5", "4"), strict=True)
        }


# --- who it is -------------------------------------------------------------------------------------------------------


async def test_a_principal_is_named_after_the_id_and_tells_how_it_signed_in_but_not_by_what(house: House) -> None:
    token = house.token()
    who = (await house.enters(token)).principal
    assert who.name == "gitlab:project/5"
    assert who.through["how"] == "id_token"
    assert who.through["rules"] == ["trust.gitlab.rules[0] (5)"]
    assert who.through["project_path"] == "orchestrator/server"
    assert who.through["job"] == f"{house.issuer.url}/orchestrator/server/-/jobs/5207"
    assert token not in repr(who)
    assert token.rpartition(".")[2] not in repr(who.through)


async def test_only_the_name_oidc_brings_tokens_and_only_what_looks_like_one_is_looked_at(house: House) -> None:
    for name, password in (("anna", house.token()), ("oidc", "a password"), ("oidc", ""), ("", house.token())):
        assert await house.source.verify(Credential(name, password)) == NotMine()
    assert not house.issuer.asked


async def test_it_may_be_remembered_until_it_ends_and_not_at_all_within_the_leeway(house: House) -> None:
    left = (await house.enters(house.token(exp=int(time.time()) + 30))).seconds
    assert 25 < left <= 30
    assert (await house.enters(house.token(exp=int(time.time()) - 30))).seconds <= 0


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("algorithm", "model"), [("ES256", "ES256"), ("EdDSA", "EdDSA"), ("EdDSA", "Ed25519")])
async def test_other_algorithms_are_taken_with_keys_of_their_kind_only(
    house: House, algorithm: str, model: str
) -> None:
    key: Key = (
        ECKey.generate_key("P-256", {"kid": "other"})
        if model == "ES256"
        else OKPKey.generate_key("Ed25519", {"kid": "other"})
    )
    house.issuer.play(says({"keys": [*house.issuer.jwks()["keys"], key.as_dict(private=False)]}))
    claims = house.issuer.signer.claims(aud=AUDIENCE)
    token = jwt.encode({"alg": model, "kid": "other"}, claims, key, algorithms=[model])
    assert (await house.enters(token)).principal.name == "gitlab:project/5"
    assert (await house.enters(house.token())).principal.name == "gitlab:project/5"
    mixed = forged.signed(house.issuer.signer, {"alg": model, "kid": house.issuer.signer.kid}, claims)
    assert "no such key" in await house.refused(mixed)
    house.algorithms = ("RS256",)
    assert "only RS256 are taken" in await house.refused(token)


@pytest.mark.parametrize("aud", ["other-audience", [AUDIENCE], ["x", AUDIENCE]])
async def test_one_of_several_audiences_is_enough(house: House, aud: object) -> None:
    await house.enters(house.token(aud=aud))


@pytest.mark.parametrize("more", [{"exp": 5}, {"iat": 55}, {"nbf": 55}, {"exp": -55}])
async def test_clocks_may_differ_by_a_minute(house: House, more: dict[str, int]) -> None:
    await house.enters(house.token(**{name: int(time.time()) + seconds for name, seconds in more.items()}))


async def test_a_token_need_not_say_when_it_begins(house: House) -> None:
    claims = house.issuer.signer.claims(aud=AUDIENCE)
    del claims["nbf"]
    await house.enters(house.issuer.signer.sign(claims))


# --- forged tokens ---------------------------------------------------------------------------------------------------


async def all_refused(house: House, tokens: Iterator[tuple[str, str]]) -> None:
    """Each of them, after the issuer's keys were had, and with nothing else asked for."""
    await house.enters(house.token())
    house.clock.later = 0.0
    before = house.issuer.asked.copy()
    seen = 0
    for name, token in tokens:
        seen += 1
        answer = await house.ask(token)
        assert isinstance(answer, TokenNotAccepted | NotMine), (name, answer)
        assert "Traceback" not in repr(answer), name
    assert seen > 5
    assert house.issuer.asked == before


async def test_row_83_no_signature_is_no_token(house: House) -> None:
    await all_refused(house, forged.none_algorithms(house.issuer.signer, AUDIENCE))


async def test_row_84_the_public_key_is_no_secret(house: House) -> None:
    await all_refused(house, forged.public_key_as_secret(house.issuer.signer, AUDIENCE))


async def test_row_85_keys_that_a_token_brings_are_neither_used_nor_fetched(house: House) -> None:
    await all_refused(house, forged.own_keys(house.issuer.signer, AUDIENCE, f"{house.issuer.url}/evil"))
    assert "/evil" not in house.issuer.asked


async def test_row_86_key_ids_are_looked_up_and_nothing_else(house: House) -> None:
    await all_refused(house, forged.key_ids(house.issuer.signer, AUDIENCE))


async def test_row_86_thousands_of_unknown_keys_make_the_issuer_be_asked_once_a_minute(house: House) -> None:
    mine = house.issuer.signer
    claims = mine.claims(aud=AUDIENCE)
    head = mine.id_token(aud=AUDIENCE).rpartition(".")[2]
    for minute in (1, 2):
        tokens = [f"{forged.part({'alg': 'RS256', 'kid': f'k{n}'})}.{forged.part(claims)}.{head}" for n in range(2_000)]
        answers = await asyncio.gather(*(house.ask(token) for token in tokens[:100]))
        answers += [await house.ask(token) for token in tokens[100:]]
        assert all(isinstance(answer, TokenNotAccepted) for answer in answers)
        assert house.issuer.asked[KEYS] == minute
        house.clock.later += 61.0


async def test_row_87_what_is_not_understood_is_not_passed_over(house: House) -> None:
    await all_refused(house, forged.extensions(house.issuer.signer, AUDIENCE))


async def test_row_88_and_97_issuer_and_audience_are_compared_whole(house: House) -> None:
    await all_refused(house, forged.wrong_parties(house.issuer.signer, AUDIENCE))
    assert "https://vault.example.com" in await house.refused(house.token(aud="https://vault.example.com"))


async def test_row_89_times_are_whole_numbers_and_hold_within_a_minute(house: House) -> None:
    await all_refused(house, forged.wrong_times(house.issuer.signer, AUDIENCE))


async def test_row_90_monsters_are_refused_before_they_are_parsed(house: House) -> None:
    await all_refused(house, forged.monsters(house.issuer.signer, AUDIENCE))
    started = time.monotonic()
    deep = forged.part(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
    big = "A" * (1 << 20)
    for token in (f"{deep}.{deep}.AAAA", f"{big}.{big}.{big}", f"a.{big}.a", f"{big}.a."):
        assert isinstance(await house.ask(token), TokenNotAccepted)
    assert time.monotonic() - started < 5


async def test_a_token_of_somebody_else_is_never_a_reason_to_ask_the_issuer(house: House) -> None:
    for more in ({"iss": "https://x"}, {"aud": "x"}, {"exp": 1}):
        await house.refused(house.token(**more))
    assert not house.issuer.asked


# --- rules -----------------------------------------------------------------------------------------------------------


async def test_row_96_a_genuine_token_that_no_rule_is_about_is_told_what_did_not_fit(house: House) -> None:
    protected = Wanted(("ref_protected",), ("true",))
    house.rules = tuple(TrustRule(rule.name, (*rule.wanted, protected), rule.rule) for rule in house.rules)
    await house.enters(house.token())
    told = {
        "`project_id` is `99`, which fits no rule": {"project": 99},
        "`ref_protected` is `false` where `true` is wanted": {"ref_protected": "false"},
        "`ref_protected` is not in it": {"ref_protected": None},
    }
    for words, more in told.items():
        token = house.token(**more)  # type: ignore[arg-type]
        with pytest.raises(TokenNotTrusted) as refused:
            await house.ask(token)
        assert refused.value.message == f"The id_token is genuine, but no rule of trust.gitlab fits it: {words}."
        assert refused.value.detail["looked_at"] == ["project_id", "ref_protected"]
    moved = house.token(99, project_path="orchestrator/server", sub="project_path:orchestrator/server:ref_type:branch")
    with pytest.raises(TokenNotTrusted):  # the path of a project that was renamed, taken by another
        await house.ask(moved)
