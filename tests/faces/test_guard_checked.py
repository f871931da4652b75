"""What a guard does with credentials that may be taken back at any moment, and with accounts that change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.domain.secrets import RANDOM_BYTES, access_token
from pierhead.ports.identity import Checked, Credential, NotMine, Wrong
from tests.faces.asked import login
from tests.faces.guarded import ANNA, House

SECRET = access_token(bytes(RANDOM_BYTES))


@dataclass
class Tokens:
    """One token of anna's, which holds while ``holder`` is there."""

    holder: Principal | None = ANNA
    asked: int = 0
    looked: int = 0
    looking: asyncio.Event = field(default_factory=asyncio.Event)

    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        if not credential.password.startswith("ph_"):
            return NotMine()
        self.asked += 1
        if credential.password != SECRET or self.holder is None:
            return Wrong("This access token was revoked.")
        return Checked(self.holder, still=self.still)

    async def still(self) -> Principal | None:
        self.looked += 1
        self.looking.set()
        await asyncio.sleep(0)
        return self.holder


@dataclass
class TokenHouse(House):
    tokens: Tokens = field(default_factory=Tokens)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guard.replace((self.tokens, self.source))


@pytest.fixture
def house() -> TokenHouse:
    return TokenHouse()


async def test_a_token_is_looked_at_by_every_request_and_checked_in_full_by_the_first(house: TokenHouse) -> None:
    for _ in range(5):
        assert await house.enters("anna", SECRET) is ANNA
    assert (house.tokens.asked, house.tokens.looked) == (1, 5)


async def test_a_token_that_was_taken_back_is_refused_by_the_next_request(house: TokenHouse) -> None:
    await house.enters("anna", SECRET)
    house.tokens.holder = None
    with pytest.raises(NotAuthenticated, match="was revoked"):
        await house.enters("anna", SECRET)


async def test_a_token_that_is_taken_back_while_it_is_checked_is_refused(house: TokenHouse) -> None:
    first = house.begin("anna", SECRET)
    await house.tokens.looking.wait()
    house.tokens.holder = None
    with pytest.raises(NotAuthenticated):
        await first


async def test_the_rules_of_a_token_are_those_of_this_moment(house: TokenHouse) -> None:
    await house.enters("anna", SECRET)
    house.tokens.holder = fewer = replace(ANNA, rules=())
    assert await house.enters("anna", SECRET) is fewer


async def test_failed_passwords_from_a_place_keep_no_token_out_and_a_password_is_remembered_as_ever(
    house: TokenHouse,
) -> None:
    await house.fails("anna", times=10)
    with pytest.raises(TooManyLogins):
        await house.enters("anna", "right")
    assert await house.enters("anna", SECRET) is ANNA
    house.clock.seconds += 61
    for _ in range(3):
        await house.enters("anna", "right")
    assert len([one for one in house.source.asked if one.password == "right"]) == 1


async def test_many_requests_at_once_with_one_token_all_enter(house: TokenHouse) -> None:
    assert set(await asyncio.gather(*(house.enters("anna", SECRET) for _ in range(300)))) == {ANNA}


async def test_an_account_that_changed_is_checked_anew_and_others_stay_remembered(house: TokenHouse) -> None:
    await house.enters("anna", "right")
    await house.enters("bob", "right")
    house.guard.forget({"anna"})
    house.source.passwords["anna"] = ("another", ANNA)
    with pytest.raises(NotAuthenticated):
        await house.enters("anna", "right")
    await house.enters("bob", "right")
    assert [one.name for one in house.source.asked] == ["anna", "bob", "anna"]


async def test_what_was_being_checked_when_the_account_changed_counts_no_more(house: TokenHouse) -> None:
    house.source.open.clear()
    entering = house.begin("anna", "right")
    await asyncio.sleep(0)
    house.guard.forget({"anna"})
    house.source.passwords["anna"] = ("another", ANNA)
    house.source.open.set()
    with pytest.raises(NotAuthenticated):
        await entering


async def test_who_changes_an_account_gets_no_new_tries_by_that(house: TokenHouse) -> None:
    await house.fails("anna", times=10)
    house.guard.forget({"anna"})
    with pytest.raises(TooManyLogins):
        await house.enters("anna", "guess")


async def test_who_enters_is_told_with_the_address_whenever_it_was_checked(house: TokenHouse) -> None:
    told: list[tuple[str, str]] = []
    house.guard.used = lambda who, address: told.append((who.name, address))
    for _ in range(2):
        await house.guard.principal(login("bob", "right", "192.0.2.9"))
    assert told == [("bob", "192.0.2.9")]
    for _ in range(2):
        await house.guard.principal(login("anna", SECRET, "192.0.2.8"))
    assert told[1:] == [("anna", "192.0.2.8")] * 2
    with pytest.raises(NotAuthenticated):
        await house.enters("bob", "wrong")
    assert len(told) == 3
