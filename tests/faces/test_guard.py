"""Who gets in: what is checked, how often, what is remembered, and who is slowed down."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from pierhead.adapters.system import SystemEntropy
from pierhead.domain import limits
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.faces.door.guard import Guard
from tests.faces.asked import asked, basic, login
from tests.faces.door_line import until
from tests.faces.guarded import ANNA, BOB, House, Source


@pytest.fixture
async def house() -> House:
    return House()


# --- what is remembered ----------------------------------------------------------------------------------------------


async def test_a_right_password_is_checked_once_a_minute(house: House) -> None:
    for _ in range(5):
        assert await house.enters("anna", "right") == ANNA
    assert len(house.source.asked) == 1
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS - 0.1
    await house.enters("anna", "right")
    assert len(house.source.asked) == 1
    house.clock.seconds += 0.1
    assert await house.enters("anna", "right") == ANNA
    assert len(house.source.asked) == 2


async def test_a_wrong_password_is_never_remembered_as_right_nor_right_as_wrong(house: House) -> None:
    await house.fails("anna", times=3)
    assert await house.enters("anna", "right") == ANNA
    await house.fails("anna", times=3)
    assert await house.enters("bob", "right") == BOB
    with pytest.raises(NotAuthenticated):
        await house.enters("bob", "wrong0")
    house.source.passwords["anna"] = ("wrong0", ANNA)
    assert await house.enters("anna", "wrong0") == ANNA


async def test_credentials_are_remembered_by_a_hash_whose_key_is_the_guards_own(house: House) -> None:
    await house.enters("anna", "right")
    other = Guard((house.source,), house.clock, SystemEntropy())
    await other.principal(login("anna", "right"))
    (mark,), (others,) = house.guard._known, other._known
    assert mark != others
    assert len(mark) == 16


async def test_after_a_reread_everything_is_checked_again(house: House) -> None:
    await house.enters("anna", "right")
    house.guard.replace((Source({"anna": ("changed", ANNA)}),))
    with pytest.raises(NotAuthenticated):
        await house.enters("anna", "right")
    assert await house.enters("anna", "changed") == ANNA


async def test_a_check_that_a_reread_overtakes_lets_nobody_in_with_the_old_password(house: House) -> None:
    house.source.open.clear()
    waiting = house.begin("anna", "right")
    await until(lambda: len(house.source.asked) == 1, "the check")
    house.guard.replace((Source({"anna": ("changed", ANNA)}),))
    house.source.open.set()
    with pytest.raises(NotAuthenticated):
        await waiting
    with pytest.raises(NotAuthenticated):
        await house.enters("anna", "right")


async def test_a_check_that_nobody_waits_for_any_more_is_not_remembered_past_a_reread(house: House) -> None:
    house.source.open.clear()
    waiting = house.begin("anna", "right")
    await until(lambda: len(house.source.asked) == 1, "the check")
    waiting.cancel()
    house.guard.replace((Source({"anna": ("changed", ANNA)}),))
    house.source.open.set()
    await until(lambda: not house.guard._waiting, "its end")
    with pytest.raises(NotAuthenticated):
        await house.enters("anna", "right")


async def test_what_was_right_once_is_forgotten_when_it_is_wrong(house: House) -> None:
    await house.enters("anna", "right")
    house.source.passwords["anna"] = ("changed", ANNA)
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS
    for _ in range(12):
        with pytest.raises((NotAuthenticated, TooManyLogins)):
            await house.enters("anna", "right")
    assert len(house.source.asked) == 1 + 1 + 10


async def test_the_memory_of_right_passwords_is_bounded(house: House) -> None:
    for number in range(limits.CREDENTIAL_CACHE_ENTRIES_MAX + 50):
        name = f"n{number}"
        house.source.passwords[name] = ("p", ANNA)
        await house.enters(name, "p")
    assert len(house.guard._known) == limits.CREDENTIAL_CACHE_ENTRIES_MAX


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_identical_logins_at_once_are_one_check(house: House) -> None:
    house.source.open.clear()
    waiting = [house.begin("anna", "right", f"192.0.2.{number % 5}") for number in range(300)]
    await until(lambda: len(house.source.asked) > 0, "the check")
    house.source.open.set()
    assert await asyncio.gather(*waiting) == [ANNA] * 300
    assert len(house.source.asked) == 1


async def test_one_who_leaves_takes_nobody_along(house: House) -> None:
    house.source.open.clear()
    first, second = house.begin("anna", "right"), house.begin("anna", "right")
    await until(lambda: len(house.source.asked) == 1, "the check")
    first.cancel()
    house.source.open.set()
    assert await second == ANNA
    assert await house.enters("anna", "right") == ANNA
    assert len(house.source.asked) == 1


async def test_who_is_known_waits_for_no_check_of_others(house: House) -> None:
    await house.enters("anna", "right")
    house.source.open.clear()
    storm = [house.begin(f"guess{number}", "x", f"198.51.100.{number % 250}") for number in range(500)]
    await until(lambda: len(house.source.asked) > 200, "the storm")
    before = len(house.source.asked)
    request = house.guard.principal(login("anna", "right"))
    with pytest.raises(StopIteration) as answered:
        request.send(None)  # answers in one step: it never gives way to the event loop
    assert answered.value.value == ANNA
    assert len(house.source.asked) == before
    house.source.open.set()
    await asyncio.gather(*storm, return_exceptions=True)


async def test_the_line_of_checks_is_bounded_in_all_and_per_place_and_empties(house: House) -> None:
    await house.enters("anna", "right")
    house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS
    house.source.open.clear()
    one_place = [house.begin(f"a{number}", "x") for number in range(200)]
    await until(lambda: sum(one.done() for one in one_place) == 136, "refusals of one place")
    elsewhere = [house.begin(f"b{number}", "x", f"198.51.100.{number}") for number in range(250)]
    await until(lambda: sum(one.done() for one in elsewhere) == 58, "refusals of all")
    refused = next(one for one in elsewhere if one.done()).exception()
    assert isinstance(refused, TooManyLogins)
    assert (refused.retry_after, refused.message) == (5, "Too many logins at once. Try again in 5 s.")
    regular = house.begin("anna", "right")
    await until(lambda: house.source.asked[-1].name == "anna", "the check of one who was here before")
    house.source.open.set()
    assert await regular == ANNA
    await asyncio.gather(*one_place, *elsewhere, return_exceptions=True)
    assert not house.guard._waiting
    assert not house.guard._checking
    assert await house.enters("bob", "right") == BOB


async def test_a_source_that_fails_counts_as_nobodys_failure(house: House) -> None:
    house.source.fault = RuntimeError("not our day")
    for _ in range(15):
        with pytest.raises(RuntimeError):
            await house.enters("anna", "right")
    house.source.fault = None
    assert await house.enters("anna", "right") == ANNA


# --- guessing --------------------------------------------------------------------------------------------------------


async def test_ten_failures_a_minute_and_then_429_with_the_seconds_to_wait(house: House) -> None:
    await house.fails("anna", times=10)
    house.clock.seconds += 12.5
    with pytest.raises(TooManyLogins) as refused:
        await house.enters("anna", "guess")
    assert refused.value.retry_after == 48
    with pytest.raises(TooManyLogins):
        await house.enters("anna", "right")
    assert len(house.source.asked) == 10
    house.clock.seconds += 47.5
    assert await house.enters("anna", "right") == ANNA


async def test_neither_other_accounts_nor_other_places_are_locked_out(house: House) -> None:
    await house.fails("anna", times=10)
    assert await house.enters("bob", "right") == BOB
    assert await house.enters("anna", "right", "192.0.2.2") == ANNA


async def test_who_was_right_before_goes_on_while_others_guess_from_the_same_place(house: House) -> None:
    await house.enters("anna", "right")
    await house.fails("anna", times=10)
    for _ in range(3):
        assert await house.enters("anna", "right") == ANNA
        house.clock.seconds += limits.CREDENTIAL_CACHE_SECONDS / 2
        with pytest.raises((NotAuthenticated, TooManyLogins)):
            await house.enters("anna", "guess")


async def test_a_right_password_buys_no_more_guesses(house: House) -> None:
    await house.fails("anna", times=9)
    assert await house.enters("anna", "right") == ANNA
    await house.fails("anna", "other")
    with pytest.raises(TooManyLogins):
        await house.enters("anna", "guess")


async def test_guesses_sent_all_at_once_are_ten_too(house: House) -> None:
    house.source.open.clear()
    guesses = [house.begin("anna", f"guess{number}") for number in range(50)]
    await until(lambda: sum(one.done() for one in guesses) == 40, "refusals")
    house.source.open.set()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(one) for one in outcomes] == [NotAuthenticated] * 10 + [TooManyLogins] * 40


async def test_the_same_wrong_password_from_one_client_many_times_at_once_counts_once(house: House) -> None:
    """Docker pulls layers side by side: one mistyped password is not ten failures."""
    house.source.open.clear()
    tries = [house.begin("anna", "typo") for _ in range(30)]
    await until(lambda: len(house.source.asked) == 1, "the check")
    house.source.open.set()
    assert {type(one) for one in await asyncio.gather(*tries, return_exceptions=True)} == {NotAuthenticated}
    await house.fails("anna", times=9)
    with pytest.raises(TooManyLogins):
        await house.enters("anna", "right")


async def test_who_joins_the_check_of_another_place_has_tried_it_himself(house: House) -> None:
    for number in range(10):
        house.source.open.clear()
        both = [house.begin("anna", f"guess{number}", peer) for peer in ("192.0.2.1", "192.0.2.2")]
        await until(lambda wanted=number: len(house.source.asked) == wanted + 1, "the check")  # type: ignore[misc]
        house.source.open.set()
        await asyncio.gather(*both, return_exceptions=True)
    for peer in ("192.0.2.1", "192.0.2.2"):
        with pytest.raises(TooManyLogins):
            await house.enters("anna", "right", peer)
    assert await house.enters("anna", "right", "192.0.2.3") == ANNA


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "not:an:address", False),
    ],
)
async def test_all_addresses_of_one_customer_are_one_place(house: House, one: str, other: str, same: bool) -> None:
    await house.fails("anna", times=10, peer=one)
    if same:
        with pytest.raises(TooManyLogins):
            await house.enters("anna", "right", other)
    else:
        assert await house.enters("anna", "right", other) == ANNA


async def test_many_thousand_long_names_take_little_memory(house: House) -> None:
    async def guess(number: int) -> None:
        with pytest.raises(NotAuthenticated):
            await house.guard.principal(asked(("Authorization", header(number)), peer=f"10.{number % 250}.1.1"))

    def header(number: int) -> str:
        return basic(f"{number:06}" + "n" * 1_000, "x")

    for number in range(10_500):
        await guess(number)
    house.source.asked.clear()
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(10_500, 12_500):
            await guess(number)
            house.source.asked.clear()
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(house.guard._failures) == 10_000
    # Each new entry takes the place of an older one, which was made before the count began.
    assert grown < 2_000 * 700
