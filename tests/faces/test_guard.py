"""Who gets in: what is checked, how often, what is remembered, and who is slowed down."""

from __future__ import annotations

import asyncio
import base64
import gc
import tracemalloc
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.adapters.system import SystemEntropy
from pierhead.domain import limits
from pierhead.domain.access import Principal, rules_of
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins
from pierhead.faces.door.guard import Guard
from pierhead.ports.identity import Credential, NotMine, Wrong
from tests.faces.asked import asked, basic, login
from tests.faces.door_line import until

ANNA = Principal("anna", rules_of(["publisher"], ()))
BOB = Principal("bob", rules_of(["deployer"], ()))


@dataclass
class Clock:
    """Stands still until a test moves it."""

    seconds: float = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> int:
        return int(self.seconds * 1_000_000)


@dataclass
class Source:
    """Accounts whose checks are counted, and wait while ``open`` is not set."""

    passwords: dict[str, tuple[str, Principal]] = field(
        default_factory=lambda: {"anna": ("right", ANNA), "bob": ("right", BOB)}
    )
    asked: list[Credential] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None

    def __post_init__(self) -> None:
        self.open.set()

    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        self.asked.append(credential)
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        password, principal = self.passwords.get(credential.name, (None, ANNA))
        return principal if credential.password == password else Wrong("Name or password is wrong.")


@dataclass
class House:
    clock: Clock = field(default_factory=Clock)
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        self.guard = Guard((self.source,), self.clock, SystemEntropy())

    async def enters(self, name: str, password: str, peer: str = "192.0.2.1") -> Principal:
        return await self.guard.principal(login(name, password, peer))

    async def fails(self, name: str, password: str = "wrong", peer: str = "192.0.2.1", times: int = 1) -> None:
        for number in range(times):
            with pytest.raises(NotAuthenticated):
                await self.enters(name, f"{password}{number}", peer)

    def begin(self, name: str, password: str, peer: str = "192.0.2.1") -> asyncio.Task[Principal]:
        return asyncio.ensure_future(self.enters(name, password, peer))


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


# --- the header ------------------------------------------------------------------------------------------------------


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic YQ",
        "Basic YTpi YTpi",
        "Basic YTpi!",
        "Basic \u00e9",
        "Basic\tYTpi",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Digest username=x",
        f"Basic {encoded(b'no colon')}",
        f"Basic {encoded(b'anna:right' + bytes(1))}",
        f"Basic {encoded(bytes(1) + b'anna:right')}",
        f"Basic {encoded(b'anna' + bytes([0xE9]) + b':right')}",
        f"Basic {encoded(b'anna:' + b'x' * (1 << 20))}",
        f"Basic {encoded(b'a' * 8_000 + b':right')}",
    ],
)
async def test_a_header_that_is_not_understood_is_401_and_costs_no_check(house: House, header: str) -> None:
    with pytest.raises(NotAuthenticated):
        await house.guard.principal(asked(("Authorization", header)))
    assert house.source.asked == []


async def test_without_the_header_one_is_told_to_log_in(house: House) -> None:
    with pytest.raises(NotAuthenticated, match="docker login"):
        await house.guard.principal(asked())


async def test_another_scheme_is_told_which_one_there_is(house: House) -> None:
    with pytest.raises(NotAuthenticated, match="Basic"):
        await house.guard.principal(asked(("Authorization", "Bearer x")))


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic ", "Basic   "])
async def test_the_schemes_case_and_spaces_do_not_matter(house: House, scheme: str) -> None:
    header = f"{scheme} {encoded(b'anna:right')}"
    assert await house.guard.principal(asked(("Authorization", header))) == ANNA


async def test_colons_and_letters_of_any_language_belong_to_the_password(house: House) -> None:
    for password in ("a:b:c", "p\u00e4ssw\u00f6rd", "\u5bc6\u7801", "\U0001f511", " spaces ", "%41+", "a\nb"):
        house.source.passwords["anna"] = (password, ANNA)
        assert await house.enters("anna", password) == ANNA


TEXTS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: "Basic " + encoded(raw)),
    st.binary(max_size=200).map(lambda raw: "Basic " + raw.decode("utf-8", "surrogateescape")),
    st.text(alphabet="ABCab+/=_-: \x85\u2003\ud800\udcff", max_size=60).map(lambda text: "Basic " + text),
)


@given(TEXTS)
async def test_whatever_the_header_is_it_raises_nothing_else(header: str) -> None:
    house = House()
    try:
        principal = await house.guard.principal(asked(("Authorization", header)))
    except NotAuthenticated as refused:
        assert encoded(b"anna:right") not in header
        assert refused.message
    else:
        assert principal == ANNA


@given(
    st.text(alphabet=st.characters(exclude_characters=":\0", exclude_categories=["Cs"]), max_size=40),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80),
)
async def test_names_and_passwords_arrive_as_they_were_sent(name: str, password: str) -> None:
    house = House(source=Source({name: (password, BOB)}))
    assert await house.enters(name, password) == BOB
    assert house.source.asked == [Credential(name, password)]
