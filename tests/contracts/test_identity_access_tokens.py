"""Access tokens as passwords: whose they are, when they end, and that nothing of that is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from pierhead.adapters.access_tokens import AccessTokenSource
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.account import By, NewAccessToken, add_access_token, revoke_access_token
from pierhead.domain.access import Principal, Right, Rule, rules_of
from pierhead.domain.secrets import RANDOM_BYTES, access_token, hash_of
from pierhead.ports.faults import NoFaults
from pierhead.ports.identity import Checked, Credential, NotMine, Wrong
from tests.contracts.identity import ANNA, BOB, REFUSED
from tests.contracts.rows import SECOND, HandClock, later

PULL = (Rule(frozenset({Right.PULL})),)
SECRET = access_token(bytes(range(RANDOM_BYTES)))
ENDLESS = access_token(bytes(range(1, RANDOM_BYTES + 1)))
BOBS = access_token(bytes(range(2, RANDOM_BYTES + 2)))
WRONG = Wrong("Name or password is wrong.")


@dataclass
class Accounts:
    """Who there is, as a test says it."""

    known: dict[str, Principal] = field(default_factory=lambda: {"anna": ANNA, "bob": BOB})
    origins: dict[str, str] = field(default_factory=lambda: {"anna": "REST", "bob": "REST"})
    asked: int = 0

    async def fresh(self) -> None:
        self.asked += 1

    def principal(self, name: str) -> Principal | None:
        return self.known.get(name)

    def made(self, name: str) -> int:
        return 0

    def revoked(self, access_token: str) -> bool:
        return False

    def origin(self, name: str) -> str | None:
        return self.origins.get(name)


@dataclass
class House:
    store: SqliteStore
    clock: HandClock
    accounts: Accounts
    source: AccessTokenSource

    async def make(self, secret: str, account: str, limit: tuple[Rule, ...] | None, seconds: int | None) -> str:
        one = hash_of(secret).hex()[:16]
        new = NewAccessToken(one, account, "REST", False, f"of {account} {one}", hash_of(secret), limit, seconds)
        await self.store.write(later(add_access_token, new, By("admin")))
        return one

    async def holder(self, name: str = "anna", secret: str = SECRET) -> Principal | Wrong | NotMine:
        found = await self.source.verify(Credential(name, secret))
        return found.principal if isinstance(found, Checked) else found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, accounts = HandClock(), Accounts()
    store = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults(), shared=True)
    one = House(store, clock, accounts, AccessTokenSource(store.lookups, accounts, clock))
    await one.make(SECRET, "anna", PULL, 3600)
    await one.make(ENDLESS, "anna", None, None)
    await one.make(BOBS, "bob", None, 3600)
    yield one
    await store.close()


async def test_a_token_gives_its_account_narrowed_and_tells_how(house: House) -> None:
    found = await house.holder()
    assert found == replace(ANNA, limit=PULL)
    assert isinstance(found, Principal)
    assert found.through["how"] == "access token"
    assert "anna" in str(found.through["token"])
    assert SECRET not in repr(found)
    assert await house.holder("anna", ENDLESS) == ANNA


async def test_the_same_object_comes_as_long_as_the_account_stays_the_same(house: House) -> None:
    first = await house.holder()
    assert await house.holder() is first
    house.accounts.known["anna"] = replace(ANNA, rules=rules_of(["deployer"], ()))
    second = await house.holder()
    assert isinstance(second, Principal)
    assert second.rules == rules_of(["deployer"], ())


@pytest.mark.parametrize(("name", "password"), REFUSED, ids=range(len(REFUSED)))
async def test_what_is_no_token_is_left_to_others(house: House, name: str, password: str) -> None:
    assert await house.holder(name, password) == NotMine()
    assert await house.holder(name, "ph_" + password) == WRONG


@pytest.mark.parametrize("name", ["bob", "nobody", "", "ANNA", "anna ", "an\udcff"])
async def test_another_name_with_the_token_is_told_no_more_than_a_wrong_password_is(house: House, name: str) -> None:
    assert await house.holder(name) == WRONG


async def test_a_mistyped_token_is_refused_without_a_look_up(house: House) -> None:
    assert await house.holder("anna", SECRET[:-1] + "x") == WRONG
    assert house.accounts.asked == 0


async def test_a_revoked_token_stops_at_once_for_who_was_checked_before_too(house: House) -> None:
    checked = await house.source.verify(Credential("anna", SECRET))
    assert isinstance(checked, Checked)
    assert checked.still is not None
    assert await checked.still() == checked.principal
    await house.store.write(later(revoke_access_token, "anna", hash_of(SECRET).hex()[:16], By("admin")))
    assert await checked.still() is None
    found = await house.holder()
    assert isinstance(found, Wrong)
    assert "was revoked on 20" in found.why


async def test_a_token_ends_at_its_second_by_the_clock_that_was_given(house: House) -> None:
    checked = await house.source.verify(Credential("bob", BOBS))
    assert isinstance(checked, Checked)
    assert checked.still is not None
    row = await house.store.lookups.access_token(hash_of(BOBS))
    assert row is not None
    assert row.expires is not None
    house.clock.at = row.expires - 1
    assert await checked.still() is not None
    house.clock.at = row.expires
    assert await checked.still() is None
    found = await house.holder("bob", BOBS)
    assert isinstance(found, Wrong)
    assert "expired on 20" in found.why
    house.clock.at = row.expires + 10**9 * SECOND
    assert await house.holder("anna", ENDLESS) == ANNA


async def test_a_token_holds_no_more_than_its_account_and_for_no_other_of_that_name(house: House) -> None:
    checked = await house.source.verify(Credential("anna", SECRET))
    assert isinstance(checked, Checked)
    assert checked.still is not None
    house.accounts.origins["anna"] = "configuration file"
    assert await checked.still() is None
    house.accounts.origins["anna"] = "REST"
    assert await checked.still() is not None
    del house.accounts.known["anna"]
    assert await checked.still() is None
    found = await house.holder()
    assert isinstance(found, Wrong)
    assert "disabled or not there" in found.why
