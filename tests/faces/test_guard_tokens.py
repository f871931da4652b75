"""Bearer tokens at the guard: read once, remembered within bounds, and good for images only."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from pierhead.adapters.system import SystemEntropy
from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.guard import Guard
from tests.faces.asked import asked, login
from tests.faces.guarded import ANNA, Clock, Source


@dataclass
class Reader:
    """Tokens by their text; counts how often one is read."""

    good: dict[str, tuple[Principal, float]] = field(default_factory=lambda: {"t1": (replace(ANNA, asked=()), 300.0)})
    read: list[str] = field(default_factory=list)

    def __call__(self, token: str) -> tuple[Principal, float] | str:
        self.read.append(token)
        found = self.good.get(token)
        # Another object each time, as a reader makes them.
        return "The token has ended." if found is None else (replace(found[0]), found[1])


@dataclass
class House:
    clock: Clock = field(default_factory=Clock)
    source: Source = field(default_factory=Source)
    reader: Reader = field(default_factory=Reader)

    def __post_init__(self) -> None:
        self.guard = Guard((), self.clock, SystemEntropy())
        self.guard.replace((self.source,), self.reader)

    async def enters(self, token: str, scheme: str = "Bearer") -> Principal:
        return await self.guard.principal(bearer(token, scheme), tokens=True)


def bearer(token: str, scheme: str = "Bearer") -> Ask:
    return asked(("Authorization", f"{scheme} {token}"))


@pytest.fixture
async def house() -> House:
    return House()


async def test_a_token_is_read_once_and_gives_the_same_principal_each_time(house: House) -> None:
    first = await house.enters("t1")
    for _ in range(5):
        assert await house.enters("t1") is first
    assert house.reader.read == ["t1"]
    assert house.source.asked == []


async def test_it_is_read_again_after_a_minute_and_gives_the_same_principal_if_nothing_has_changed(
    house: House,
) -> None:
    first = await house.enters("t1")
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS
    assert await house.enters("t1") is first
    house.reader.good["t1"] = (replace(ANNA, rules=(), asked=()), 200.0)
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS
    assert (await house.enters("t1")).rules == ()
    assert house.reader.read == ["t1"] * 3


async def test_it_is_not_remembered_past_its_own_end(house: House) -> None:
    house.reader.good["t1"] = (ANNA, 2.5)
    await house.enters("t1")
    house.clock.seconds += 2.4
    await house.enters("t1")
    house.clock.seconds += 0.1
    del house.reader.good["t1"]
    with pytest.raises(NotAuthenticated) as refused:
        await house.enters("t1")
    assert refused.value.bad_token
    assert refused.value.message == "The token has ended."


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
async def test_the_scheme_is_known_in_any_case(house: House, scheme: str) -> None:
    assert (await house.enters("t1", scheme)).name == "anna"


async def test_without_leave_no_token_is_looked_at_even_if_it_is_remembered(house: House) -> None:
    await house.enters("t1")
    with pytest.raises(NotAuthenticated) as refused:
        await house.guard.principal(bearer("t1"))
    assert "Basic" in refused.value.message
    assert house.reader.read == ["t1"]


async def test_what_is_wrong_is_not_remembered(house: House) -> None:
    for _ in range(30):
        with pytest.raises(NotAuthenticated):
            await house.enters("t2")
    assert not house.guard._tokens
    house.reader.good["t2"] = (ANNA, 10.0)
    assert await house.enters("t2") == ANNA


async def test_new_keys_or_another_configuration_make_it_read_anew(house: House) -> None:
    await house.enters("t1")
    house.guard.forget_tokens()
    await house.enters("t1")
    house.guard.replace((house.source,), Reader({}))
    with pytest.raises(NotAuthenticated):
        await house.enters("t1")
    assert house.reader.read == ["t1"] * 2


async def test_the_memory_is_bounded_and_puts_no_password_out(house: House) -> None:
    await house.guard.principal(login("anna", "right"))
    for number in range(limits.TOKEN_CACHE_ENTRIES_MAX + 50):
        house.reader.good[f"n{number}"] = (ANNA, 300.0)
        await house.enters(f"n{number}")
    assert len(house.guard._tokens) == limits.TOKEN_CACHE_ENTRIES_MAX
    await house.guard.principal(login("anna", "right"))
    assert len(house.source.asked) == 1


async def test_a_login_by_form_shares_what_is_known_and_what_is_counted(house: House) -> None:
    ask = asked()
    assert await house.guard.login(ask, "anna", "right") == ANNA
    assert await house.guard.principal(login("anna", "right")) == ANNA
    assert len(house.source.asked) == 1
    for number in range(5):
        with pytest.raises(NotAuthenticated):
            await house.guard.login(ask, "bob", f"wrong{number}")
        with pytest.raises(NotAuthenticated):
            await house.guard.principal(login("bob", f"other{number}"))
    with pytest.raises(TooManyLogins):
        await house.guard.login(ask, "bob", "right")


@pytest.mark.parametrize("name", ["anna:right", "anna\0", ":", "a:"])
async def test_a_name_that_no_header_can_say_is_nobodys(house: House, name: str) -> None:
    with pytest.raises(NotAuthenticated):
        await house.guard.login(asked(), name, "right")
    assert house.source.asked == []


async def test_failures_that_turn_out_to_be_none_are_not_counted(house: House) -> None:
    for _ in range(30):
        house.guard.count_failure(asked(), "refresh_token")()
    for _ in range(10):
        house.guard.count_failure(asked(), "refresh_token")
    with pytest.raises(TooManyLogins):
        house.guard.count_failure(asked(), "refresh_token")
    house.guard.count_failure(asked(peer="198.51.100.1"), "refresh_token")
