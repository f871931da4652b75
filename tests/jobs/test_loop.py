"""The loop that repeats background steps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from pierhead.jobs.loop import Failed, Idle, Loop, Outcome, Worked


class Steps:
    """Gives the outcomes it was told to, one a step, then Idle; notes whether two ever overlapped."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.left = list(outcomes)
        self.calls = 0
        self.running = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self) -> Outcome:
        self.calls += 1
        self.running += 1
        assert self.running == 1
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(0)
        self.running -= 1
        outcome = self.left.pop(0) if self.left else Idle()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited in vain")


async def test_work_that_was_not_all_goes_on_at_once_and_then_the_pause_begins() -> None:
    steps = Steps(*[Worked("some", more=True)] * 5)
    loop = Loop("reclaim", steps, 3600)
    loop.start()
    await until(lambda: steps.calls == 6 and loop.last == Idle())
    await asyncio.sleep(0.02)
    assert steps.calls == 6
    await loop.stop()


async def test_waking_ends_the_pause_and_starting_twice_starts_once() -> None:
    steps = Steps()
    loop = Loop("reclaim", steps, 3600)
    loop.start()
    loop.start()
    for number in range(1, 4):
        await until(lambda number=number: steps.calls == number and steps.running == 0)  # type: ignore[misc]
        loop.wake()
    await until(lambda: steps.calls == 4)
    await loop.stop()


async def test_stopping_waits_for_the_step_that_runs_and_begins_no_other() -> None:
    steps = Steps(*[Worked("some", more=True)] * 100)
    steps.hold = asyncio.Event()
    loop = Loop("reclaim", steps, 3600)
    loop.start()
    await until(lambda: steps.running == 1)
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    steps.hold.set()
    await asyncio.wait_for(stopping, 10)
    assert (steps.calls, steps.running) == (1, 0)


async def test_a_loop_that_was_never_started_can_be_stopped() -> None:
    await Loop("reclaim", Steps(), 1).stop()


async def test_a_step_that_raises_is_logged_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(ValueError("a fault"), Failed("the disk is full"), Worked("all of it"))
    loop = Loop("reclaim", steps, 0.001)
    with caplog.at_level(logging.INFO, logger="pierhead.jobs.loop"):
        loop.start()
        await until(lambda: steps.calls >= 4)
        await loop.stop()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["ERROR", "WARNING", "INFO"]
    assert "the disk is full" in told[1][1]
    assert "all of it" in told[2][1]
    assert caplog.records[0].exc_info is not None


async def test_the_pause_grows_while_steps_fail_and_shrinks_when_one_does_not() -> None:
    loop = Loop("reclaim", Steps(), 60)
    assert [loop._pause(Failed("no")) for _ in range(5)] == [120, 240, 480, 600, 600]
    assert loop._pause(Idle()) == 60
    assert loop._pause(Failed("no")) == 120
    assert Loop("check", Steps(), 86_400)._pause(Failed("no")) == 86_400
