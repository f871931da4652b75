"""Accounts with passwords: the contract, what a check costs, and whose hash is checked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher, extract_parameters

from pierhead.adapters import passwords
from pierhead.adapters.passwords import Argon2, PasswordAccount, PasswordSource, hash_password
from pierhead.domain.refusals import Unavailable
from pierhead.ports.identity import Credential, IdentitySource, Wrong
from tests.contracts.identity import ANNA, BOB, PASSWORDS, IdentitySourceContract

DISABLED = "carol"


def known(make: Callable[[str], str]) -> dict[str, PasswordAccount]:
    """The contract's accounts, and one that is disabled."""
    made = {who.name: PasswordAccount(who, make(PASSWORDS[who])) for who in PASSWORDS}
    return {**made, DISABLED: PasswordAccount(BOB, None)}


@pytest.fixture(scope="module")
def accounts() -> dict[str, PasswordAccount]:
    return known(hash_password)


@pytest.fixture(scope="module")
def cheap() -> dict[str, PasswordAccount]:
    """Hashes that take no time, for tests of what is said."""
    return known(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash)


class Counted:
    """Looks on while hashes are checked: which ones, and how many at once."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()
        self._fits = passwords._fits

    def __call__(self, hashed: str, password: str) -> bool:
        with self._lock:
            self.hashes.append(hashed)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return self._fits(hashed, password)
        finally:
            with self._lock:
                self.running -= 1

    def costs(self) -> list[tuple[int, int, int]]:
        """Passes, KiB and lanes of each check."""
        found = map(extract_parameters, self.hashes)
        return [(one.time_cost, one.memory_cost, one.parallelism) for one in found]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """The real checks, looked at."""
    made = Counted()
    monkeypatch.setattr(passwords, "_fits", made)
    yield made
    assert made.running == 0


class TestPasswords(IdentitySourceContract):
    @pytest.fixture
    def source(self, cheap: dict[str, PasswordAccount]) -> IdentitySource:
        return PasswordSource(cheap, Argon2())


def test_a_hash_is_argon2id_with_the_cost_that_owasp_names_and_differs_each_time() -> None:
    one, other = hash_password("same"), hash_password("same")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", "wrong"), (DISABLED, "wrong"), ("", "")])
async def test_unknown_wrong_and_disabled_cost_one_check_each(
    accounts: dict[str, PasswordAccount], counted: Counted, name: str, password: str
) -> None:
    said = await PasswordSource(accounts, Argon2()).verify(Credential(name, password))
    assert said == Wrong("Name or password is wrong.")
    assert counted.costs() == [(2, 19_456, 1)]


async def test_a_disabled_account_takes_no_password_not_even_one_that_fits_its_decoy(
    accounts: dict[str, PasswordAccount],
) -> None:
    source = PasswordSource(accounts, Argon2())
    for password in ("", *PASSWORDS.values()):
        assert isinstance(await source.verify(Credential(DISABLED, password)), Wrong)


async def test_without_any_account_a_login_costs_a_check_too(counted: Counted) -> None:
    assert isinstance(await PasswordSource({}, Argon2()).verify(Credential("anna", "x")), Wrong)
    assert counted.costs() == [(2, 19_456, 1)]


async def test_names_that_are_not_there_cost_what_those_cost_that_are(counted: Counted) -> None:
    """An operator's own hash may be dearer than ours; if only accounts were dear, time would tell who is there."""
    dear = PasswordHasher(time_cost=3, memory_cost=1_024, parallelism=2).hash("x")
    cheap = PasswordHasher(time_cost=1, memory_cost=512, parallelism=1).hash("x")
    accounts = {"anna": PasswordAccount(ANNA, dear), "bob": PasswordAccount(BOB, cheap)}
    source = PasswordSource(accounts, Argon2())
    for number in range(40):
        await source.verify(Credential(f"nobody-{number}", "x"))
    assert set(counted.costs()) == {(3, 1_024, 2), (1, 512, 1)}
    before = counted.hashes[:]
    counted.hashes.clear()
    other_worker = PasswordSource(dict(reversed(accounts.items())), Argon2())
    for number in range(40):
        await other_worker.verify(Credential(f"nobody-{number}", "x"))
    assert counted.hashes == before


async def test_two_at_most_are_checked_at_once_and_hashing_counts(
    accounts: dict[str, PasswordAccount], counted: Counted
) -> None:
    argon2 = Argon2()
    old, new = PasswordSource(accounts, argon2), PasswordSource(accounts, argon2)
    await asyncio.gather(
        *(source.verify(Credential(f"n{number}", "x")) for source in (old, new) for number in range(8))
    )
    assert len(counted.hashes) == 16
    assert counted.most <= 2


@pytest.mark.parametrize("length", [72, 73, 1_000, 4_096])
async def test_every_byte_of_a_long_password_counts(length: int) -> None:
    """bcrypt would stop at 72."""
    password = "p" * (length - 1) + "q"
    source = PasswordSource({"anna": PasswordAccount(ANNA, hash_password(password))}, Argon2())
    assert await source.verify(Credential("anna", password)) == ANNA
    assert isinstance(await source.verify(Credential("anna", password[:-1] + "r")), Wrong)
    assert isinstance(await source.verify(Credential("anna", password[:-1])), Wrong)


async def test_a_nul_in_a_password_ends_nothing() -> None:
    source = PasswordSource({"anna": PasswordAccount(ANNA, hash_password("before\0after"))}, Argon2())
    assert await source.verify(Credential("anna", "before\0after")) == ANNA
    for password in ("before", "before\0", "before\0AFTER"):
        assert isinstance(await source.verify(Credential("anna", password)), Wrong)


async def test_a_password_beyond_the_limit_costs_no_check_whoever_it_is_for(
    accounts: dict[str, PasswordAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then time tells nothing about the account either, and nobody has a megabyte hashed."""
    monkeypatch.setattr(passwords, "_HASHER", None)
    source = PasswordSource(accounts, Argon2())
    for name in ("anna", "nobody", DISABLED):
        assert isinstance(await source.verify(Credential(name, "\u00e9" * 2_049)), Wrong)


async def test_a_hash_that_others_change_holds_from_the_next_check_on() -> None:
    stands: list[str | None] = [hash_password("new")]

    async def renewed() -> str | None:
        return stands[0]

    source = PasswordSource({"anna": PasswordAccount(ANNA, hash_password("old"), renewed)}, Argon2())
    assert isinstance(await source.verify(Credential("anna", "old")), Wrong)
    assert await source.verify(Credential("anna", "new")) == ANNA
    stands[0] = None
    assert await source.verify(Credential("anna", "old")) == ANNA


@pytest.mark.parametrize("fault", [TimeoutError(), Unavailable("The database is busy.")])
async def test_a_database_that_does_not_answer_locks_nobody_out(fault: Exception) -> None:
    async def renewed() -> str | None:
        raise fault

    source = PasswordSource({"anna": PasswordAccount(ANNA, hash_password("known"), renewed)}, Argon2())
    assert await source.verify(Credential("anna", "known")) == ANNA


@pytest.mark.parametrize("hashed", ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$" + "a" * 53, "\ud800"])
async def test_a_hash_that_cannot_be_read_fits_nothing(hashed: str) -> None:
    source = PasswordSource({"anna": PasswordAccount(ANNA, hashed)}, Argon2())
    for password in ("", "plain", hashed):
        assert isinstance(await source.verify(Credential("anna", password)), Wrong)


def test_an_account_does_not_show_its_hash(accounts: dict[str, PasswordAccount]) -> None:
    for account in accounts.values():
        assert "argon2" not in f"{account!r} {account}"
