"""What a guard makes of sources that say how long, of those that cannot say, and of tokens that many jobs bring."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pierhead.adapters.system import SystemEntropy
from pierhead.domain.access import Principal
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins, Unavailable
from pierhead.domain.refusals_id_tokens import TokenNotTrusted
from pierhead.faces.door.guard import Guard
from pierhead.ports.identity import Checked, Credential, NotMine, Wrong
from tests.faces.asked import login
from tests.faces.guarded import ANNA, Clock, Source

JOB = Principal("gitlab:project/5", ())


@dataclass
class Tokens:
    """Says what a test wants about every id_token."""

    answer: Checked | Wrong | Exception = field(default_factory=lambda: Checked(JOB, 30.0))
    asked: int = 0

    async def verify(self, credential: Credential) -> Checked | NotMine | Wrong:
        if not credential.is_id_token:
            return NotMine()
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class House:
    clock: Clock = field(default_factory=Clock)
    tokens: Tokens = field(default_factory=Tokens)

    def __post_init__(self) -> None:
        self.guard = Guard((self.tokens, Source()), self.clock, SystemEntropy())

    async def enters(self, token: str = "a.b.c", name: str = "oidc") -> Principal:
        return await self.guard.principal(login(name, token, "192.0.2.1"))


@pytest.fixture
async def house() -> House:
    return House()


async def test_nobody_is_remembered_for_longer_than_the_source_says_nor_for_longer_than_a_minute(house: House) -> None:
    for seconds, asked in ((30.0, 30.0), (3_600.0, 60.0)):
        house.tokens.answer = Checked(JOB, seconds)
        house.tokens.asked = 0
        await house.enters()
        house.clock.seconds += asked - 0.1
        await house.enters()
        assert house.tokens.asked == 1
        house.clock.seconds += 0.2
        await house.enters()
        assert house.tokens.asked == 2
        house.clock.seconds += 100


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_who_has_no_time_left_is_not_remembered_at_all(house: House, seconds: float) -> None:
    await house.enters()
    house.clock.seconds += 31
    house.tokens.answer = Checked(JOB, seconds)
    for asked in (2, 3, 4):
        assert await house.enters() == JOB
        assert house.tokens.asked == asked
    assert not house.guard._known


@pytest.mark.parametrize("fault", [Unavailable("The issuer is down."), TokenNotTrusted("trust.gitlab", "x", ["y"], {})])
async def test_what_cannot_be_said_or_is_not_trusted_is_no_failed_login_and_not_remembered(
    house: House, fault: Exception
) -> None:
    house.tokens.answer = fault
    for _ in range(25):
        with pytest.raises(type(fault)):
            await house.enters()
    assert await house.enters("right", "anna") == ANNA
    house.tokens.answer = Checked(JOB, 30.0)
    assert await house.enters() == JOB


async def test_many_jobs_of_one_machine_log_in_at_once(house: House) -> None:
    entered = await asyncio.gather(*(house.enters(f"a.b{n}.c") for n in range(40)))
    assert entered == [JOB] * 40


async def test_a_job_with_a_bad_token_holds_up_no_other_and_hides_no_guessed_password(house: House) -> None:
    house.tokens.answer = Wrong("It ended.")
    for number in range(10):
        with pytest.raises(NotAuthenticated):
            await house.enters(f"wrong{number}", "anna")
    for number in range(12_000):
        with pytest.raises(NotAuthenticated):
            await house.enters(f"bad.bad{number}.bad")
    house.tokens.answer = Checked(JOB, 30.0)
    assert await house.enters("good.good.good") == JOB
    with pytest.raises(TooManyLogins):
        await house.enters("right", "anna")


async def test_a_password_that_looks_like_a_token_is_counted_as_any_other(house: House) -> None:
    for number in range(10):
        with pytest.raises(NotAuthenticated):
            await house.enters(f"a.b{number}.c", "anna")
    with pytest.raises(TooManyLogins):
        await house.enters("a.b.c", "anna")
