"""Refresh tokens in the database: found by their mark, bounded in number, gone when they end or are taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from pierhead.actions.refresh_token import Keeping, make_refresh_token, redeem_refresh_token
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemEntropy
from pierhead.commits.account import AccountChange, By, NewAccount, add_account, change_account, remove_account
from pierhead.domain.access import ANONYMOUS, Principal, Rule
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.values import RefreshRow
from tests.contracts.tokens import NOW, Clock

DAY = 24 * 3600
ANNA = Principal("anna", (), through={"how": "password", "fingerprint": "01234567"})


class Accounts:
    names = frozenset({"anna", "bob"})
    defined = "REST"

    def principal(self, name: str) -> Principal | None:
        return Principal(name, ()) if name in self.names else None

    def origin(self, name: str) -> str | None:
        return self.defined if name in self.names else None

    def made(self, name: str) -> int:
        return 0

    def revoked(self, access_token: str) -> bool:
        return False

    async def fresh(self) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults())
    yield opened
    await opened.close()


@pytest.fixture
def keeping(store: SqliteStore, clock: Clock) -> Keeping:
    return Keeping(store, Accounts(), clock, SystemEntropy(), on=True, seconds=30 * DAY)


async def made(keeping: Keeping, who: Principal = ANNA, client: str = "docker") -> str:
    token = await make_refresh_token(keeping, who, client)
    assert token is not None
    return token


async def rows(store: SqliteStore, account: str = "anna") -> Sequence[RefreshRow]:
    return await store.report(lambda reports: reports.refreshes(account))


def database(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("pierhead.db*"))


async def test_it_opens_the_account_until_its_end(keeping: Keeping, clock: Clock) -> None:
    token = await made(keeping)
    assert await redeem_refresh_token(keeping, token) == ANNA
    clock.seconds = NOW + 30 * DAY - 1
    assert await redeem_refresh_token(keeping, token) == ANNA
    clock.seconds += 1
    assert await redeem_refresh_token(keeping, token) is None


async def test_each_is_another_and_none_is_kept_as_it_is(keeping: Keeping, store: SqliteStore, tmp_path: Path) -> None:
    tokens = {await made(keeping) for _ in range(5)}
    assert len(tokens) == 5
    kept = database(tmp_path)
    assert not any(token.encode() in kept or token[4:].encode() in kept for token in tokens)


async def test_an_account_that_is_gone_or_another_of_its_name_is_not_opened(keeping: Keeping) -> None:
    token = await made(keeping)
    gone, another = Accounts(), Accounts()
    gone.names, another.defined = frozenset({"bob"}), "configuration file"
    for accounts in (gone, another):
        assert await redeem_refresh_token(replace(keeping, accounts=accounts), token) is None
    assert await redeem_refresh_token(keeping, token) == ANNA


async def test_switched_off_none_is_made_and_none_holds(keeping: Keeping) -> None:
    token = await made(keeping)
    off = replace(keeping, on=False)
    assert await make_refresh_token(off, ANNA, "docker") is None
    assert await redeem_refresh_token(off, token) is None


@pytest.mark.parametrize(
    "who",
    [
        Principal(ANONYMOUS, ()),
        Principal("job:group/project", ()),
        Principal("anna", (), limit=(Rule(frozenset()),)),
        Principal("anna", (), limit=()),
        Principal("anna", (), through={"how": "access token", "id": "7"}),
        Principal("anna", (), through={"how": "job"}),
    ],
)
async def test_only_the_password_of_an_account_gets_one(keeping: Keeping, who: Principal) -> None:
    assert await make_refresh_token(keeping, who, "docker") is None


async def test_the_oldest_of_an_account_go_when_there_are_too_many(store: SqliteStore) -> None:
    row = RefreshRow(0, "anna", "REST", "", 1, 1, 10)
    for number in range(6):
        one, other = bytes([number]) * 32, bytes([100 + number]) * 32
        await store.write(lambda tx, mark=one: tx.refreshes.add(mark, row, 4))  # type: ignore[misc]
        await store.write(lambda tx, mark=other: tx.refreshes.add(mark, replace(row, account="bob"), 9))  # type: ignore[misc]
    assert len(await rows(store)) == 4
    assert len(await rows(store, "bob")) == 6
    assert await store.report(lambda reports: reports.refresh(bytes([1]) * 32)) is None
    assert await store.report(lambda reports: reports.refresh(bytes([5]) * 32)) is not None


async def test_what_has_ended_goes_with_the_next_that_is_made(store: SqliteStore) -> None:
    await store.write(lambda tx: tx.refreshes.add(b"a" * 32, RefreshRow(0, "anna", "REST", "", 1, 1, 10), 4))
    await store.write(lambda tx: tx.refreshes.add(b"b" * 32, RefreshRow(0, "bob", "REST", "", 11, 11, 20), 4))
    assert await rows(store) == []


async def test_taking_back_is_for_one_account_only(keeping: Keeping, store: SqliteStore) -> None:
    tokens = [await made(keeping), await made(keeping), await made(keeping, Principal("bob", ()))]
    newest, oldest = await rows(store)
    (bobs,) = await rows(store, "bob")
    assert await store.write(lambda tx: tx.refreshes.revoke("anna", bobs.id)) == 0
    assert await store.write(lambda tx: tx.refreshes.revoke("anna", oldest.id)) == 1
    assert [await redeem_refresh_token(keeping, token) for token in tokens] == [
        None,
        ANNA,
        Principal("bob", ()),
    ]
    assert await store.write(lambda tx: tx.refreshes.revoke("anna", None)) == 1
    assert await rows(store) == []
    assert newest.id != oldest.id


BY = By("admin")


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (AccountChange(password_hash="$argon2id$another"), False),
        (AccountChange(disabled=True), False),
        (AccountChange(disabled=False), True),
        (AccountChange(roles=("deployer",)), True),
        (AccountChange(), True),
    ],
)
async def test_a_new_password_takes_it_back_and_so_does_disabling(
    keeping: Keeping, store: SqliteStore, change: AccountChange, holds: bool
) -> None:
    await store.write(lambda tx: add_account(tx, NewAccount("anna", "person", (), "$argon2id$one"), BY))
    token, others = await made(keeping), await made(keeping, Principal("bob", ()))
    await store.write(lambda tx: change_account(tx, "anna", change, BY))
    assert (await redeem_refresh_token(keeping, token) is not None) is holds
    assert await redeem_refresh_token(keeping, others) is not None


async def test_it_goes_with_its_account_and_is_not_the_next_ones(keeping: Keeping, store: SqliteStore) -> None:
    anna = NewAccount("anna", "person", (), "$argon2id$one")
    before = await made(keeping)
    await store.write(lambda tx: add_account(tx, anna, BY))
    assert await redeem_refresh_token(keeping, before) is None
    token = await made(keeping)
    await store.write(lambda tx: remove_account(tx, "anna", BY))
    assert await redeem_refresh_token(keeping, token) is None


async def test_when_it_was_used_last_is_noted_at_most_once_an_hour(
    keeping: Keeping, store: SqliteStore, clock: Clock
) -> None:
    token = await made(keeping, client="docker\n\0" + "x" * 500)
    (before,) = await rows(store)
    assert before.client == "docker" + "x" * 58
    for seconds, noted in ((1_800, False), (3_601, True), (3_700, False)):
        clock.seconds = NOW + seconds
        used = (await rows(store))[0].used
        await redeem_refresh_token(keeping, token)
        assert ((await rows(store))[0].used > used) is noted
