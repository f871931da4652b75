"""Who there is: what the file says, what REST made, and who is told of what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.account import (
    AccountChange,
    By,
    NewAccount,
    add_account,
    change_account,
    put_role,
    remove_account,
)
from pierhead.domain.access import BUILT_IN_ROLES, Right, Rule, rules_of
from pierhead.domain.names import RepositoryName
from pierhead.ports.faults import NoFaults
from pierhead.repositories.directory import Directory, FileAccount, FileKnows, Origin
from tests.contracts.rows import HandClock, later

ADMIN = By("admin")
PULL, PUSH = (Rule(frozenset({Right.PULL})),), (Rule(frozenset({Right.PUSH})),)
FILE = FileKnows(
    {"admin": FileAccount("admin", ("admin",), Origin.BUILT_IN), "svc": FileAccount("svc", ("mine",))}, {"mine": PULL}
)


@dataclass
class House:
    """Two directories over one database, as two workers have them, and what each was told."""

    store: SqliteStore
    told: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.here = Directory(self.store, HandClock(), self.tell)
        self.there = Directory(self.store, HandClock(), lambda _: None)

    def tell(self, names: Collection[str]) -> None:
        self.told.append(set(names))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await SqliteStore.open(tmp_path / "pierhead.db", HandClock(), NoFaults(), shared=True)
    one = House(store)
    for directory in (one.here, one.there):
        await directory.use(FILE)
    one.told.clear()
    yield one
    await store.close()


async def test_what_another_process_committed_is_known_after_asking_and_told_once(house: House) -> None:
    await house.store.write(later(put_role, "team", PUSH, ADMIN))
    await house.store.write(later(add_account, NewAccount("anna", "person", ("team",)), ADMIN))
    assert house.here.principal("anna") is None
    await house.here.fresh()
    found = house.here.principal("anna")
    assert found is not None
    assert found.rules == PUSH
    await house.here.fresh()
    assert house.told == [{"anna"}]


async def test_accounts_that_did_not_change_stay_the_same_objects(house: House) -> None:
    await house.store.write(later(add_account, NewAccount("anna", "person", ("deployer",)), ADMIN))
    await house.here.fresh()
    before = {name: house.here.principal(name) for name in ("admin", "svc", "anna")}
    house.told.clear()
    await house.store.write(later(add_account, NewAccount("bob", "person", ("deployer",)), ADMIN))
    await house.here.fresh()
    await house.here.use(FILE)
    assert {name: house.here.principal(name) for name in before} == before
    assert all(house.here.principal(name) is one for name, one in before.items())
    assert house.told == [{"bob"}]


async def test_a_changed_role_changes_who_has_it_and_nobody_else(house: House) -> None:
    await house.store.write(later(put_role, "team", PULL, ADMIN))
    for name, role in (("anna", "team"), ("bob", "deployer")):
        await house.store.write(later(add_account, NewAccount(name, "person", (role,)), ADMIN))
    await house.here.fresh()
    house.told.clear()
    await house.store.write(later(put_role, "team", PUSH, ADMIN))
    await house.here.fresh()
    assert house.told == [{"anna"}]


async def test_a_password_or_a_switch_changes_the_account_though_its_rules_stay(house: House) -> None:
    await house.store.write(later(add_account, NewAccount("anna", "person", ("deployer",)), ADMIN))
    await house.here.fresh()
    house.told.clear()
    for change in (AccountChange(password_hash="another"), AccountChange(disabled=True)):
        await house.store.write(later(change_account, "anna", change, ADMIN))
        await house.here.fresh()
    assert house.told == [{"anna"}, {"anna"}]
    assert house.here.principal("anna") is None
    assert house.here.account("anna") is not None


async def test_a_name_of_the_file_wins_for_accounts_and_for_roles(house: House) -> None:
    for name in ("svc", "admin"):
        await house.store.write(later(add_account, NewAccount(name, "person", ("admin",)), ADMIN))
    await house.store.write(later(put_role, "mine", PUSH, ADMIN))
    await house.here.fresh()
    found = house.here.principal("svc")
    assert found is not None
    assert found.rules == PULL
    assert house.here.origin("svc") == "configuration file"
    assert house.here.origin("admin") == "built in"
    assert house.here.roles["mine"] == (Origin.FILE, PULL)
    assert house.here.hidden == {"svc", "admin", "mine"}


async def test_what_the_file_stops_naming_is_gone_and_what_rest_made_is_not(house: House) -> None:
    await house.store.write(later(add_account, NewAccount("anna", "person", ("mine", "deployer")), ADMIN))
    await house.here.use(FileKnows({}, {}))
    assert house.here.principal("svc") is None
    found = house.here.principal("anna")
    assert found is not None
    assert found.rules == rules_of(["deployer"], ()), "a role that is not there gives nothing"
    account = house.here.account("anna")
    assert account is not None
    assert house.here.rules_by_role(account) == [("mine", ()), ("deployer", rules_of(["deployer"], ()))]


async def test_a_disabled_account_of_the_file_is_nobody(house: House) -> None:
    await house.here.use(FileKnows({"svc": FileAccount("svc", ("deployer",), disabled=True)}))
    assert house.here.principal("svc") is None
    assert house.here.origin("svc") == "configuration file"


async def test_publishers_made_over_rest_do_not_push_to_later_stages_either(house: House) -> None:
    prod = RepositoryName("prod")
    await house.store.write(later(add_account, NewAccount("anna", "person", ("publisher",)), ADMIN))
    await house.here.use(FileKnows({}, {}, (prod,)))
    found = house.here.principal("anna")
    assert found is not None
    assert not found.may_somewhere(Right.PUSH, prod)
    assert set(BUILT_IN_ROLES) <= set(house.here.roles)


async def test_a_removed_account_is_nobody_in_every_process_that_asks(house: House) -> None:
    await house.store.write(later(add_account, NewAccount("anna", "person", ("deployer",)), ADMIN))
    for directory in (house.here, house.there):
        await directory.fresh()
        assert directory.principal("anna") is not None
    await house.store.write(later(remove_account, "anna", ADMIN))
    for directory in (house.here, house.there):
        await directory.fresh()
        assert directory.principal("anna") is None
