"""Requests that come alone are answered in the call that brought them; all else is left to the HTTP server."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from pierhead.faces.door.ask import Answer, Ask
from pierhead.faces.door.turn import Turn
from tests.faces.door_ground import Certificates
from tests.faces.door_line import door, until

NUMBER: ContextVar[int] = ContextVar("NUMBER", default=0)


async def waiting(turn: Turn, seen: list[object]) -> None:
    NUMBER.set(7)
    while True:
        try:
            await turn
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        seen.append((asyncio.current_task(), NUMBER.get()))


async def test_a_turn_runs_its_task_inside_the_call_and_in_the_context_of_the_task() -> None:
    loop = asyncio.get_running_loop()
    turn, seen = Turn(loop), list[object]()
    task = asyncio.create_task(waiting(turn, seen))
    await asyncio.sleep(0)
    told: list[int] = []

    def callback() -> None:
        turn.come()
        turn.come()
        told.append(len(seen))

    loop.call_soon(callback)
    await until(lambda: bool(told), "the callback")
    assert told == [2]
    assert seen == [(task, 7)] * 2
    assert NUMBER.get() == 0
    assert turn.awaited
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_inside_another_task_a_turn_comes_a_little_later() -> None:
    turn, seen = Turn(asyncio.get_running_loop()), list[object]()
    task = asyncio.create_task(waiting(turn, seen))
    await asyncio.sleep(0)
    turn.come()
    assert seen == []
    await asyncio.sleep(0)
    assert seen == [(task, 7)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("by_the_task", [True, False])
async def test_a_turn_that_is_cancelled_ends_its_task_later_and_only_once(by_the_task: bool) -> None:
    turn, seen = Turn(asyncio.get_running_loop()), list[object]()
    assert not turn.cancel()
    task = asyncio.create_task(waiting(turn, seen))
    await asyncio.sleep(0)
    assert task.cancel() if by_the_task else turn.cancel()
    assert seen == []
    assert not turn.awaited
    assert not turn.cancel()
    turn.come()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == ["cancelled"]
    assert task.cancelled()


class Tasks:
    """A handler that notes in which task it runs; the connection's own one serves those that come alone."""

    def __init__(self) -> None:
        self.seen: list[asyncio.Task[object] | None] = []
        self.slow = asyncio.Event()

    async def __call__(self, ask: Ask) -> Answer:
        self.seen.append(asyncio.current_task())
        if ask.target == "/slow":
            async with asyncio.timeout(5):
                await self.slow.wait()
        if ask.target == "/broken":
            raise RuntimeError
        return Answer(200, (), await ask.body(1000))


@pytest.mark.parametrize("secure", [False, True])
async def test_requests_that_come_alone_share_the_task_of_their_connection(
    secure: bool, certificates: Certificates
) -> None:
    tasks = Tasks()
    tls: dict[str, Any] = {"ssl": certificates.server, "client_tls": certificates.client} if secure else {}
    async with door(tasks, **tls) as house:
        line = await house.line()
        for target in ("/a", "/broken", "/b"):
            await line.ask(target)
        assert (await line.ask("/c", method="HEAD")).status == 200
        own = tasks.seen[0]
        assert tasks.seen == [own] * 4, "the HTTP server changed: every request has a task of its own again"
        assert own is not None
        assert not own.done()
        assert (await line.ask("/d", method="PUT", body=b"bytes")).body == b"bytes"
        assert tasks.seen[4] is not own
        assert (await line.ask("/e")).status == 200
        assert [status for _, status, _, _ in house.told] == [200, 500, 200, 200, 200, 200]


async def test_a_request_that_waits_lets_others_run_and_those_behind_it_come_in_order() -> None:
    tasks = Tasks()
    async with door(tasks) as house:
        line, other = await house.line(), await house.line()
        get = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
        await line.send(get % b"/slow")
        await until(lambda: len(tasks.seen) == 1, "the slow request")
        await line.send(get % b"/1" + get % b"/2" + get % b"/3")
        assert (await other.ask("/other")).status == 200
        assert [ask.target for ask, *_ in house.told] == ["/other"]
        tasks.slow.set()
        for _ in range(4):
            assert (await line.hear()).status == 200
        assert [ask.target for ask, *_ in house.told][1:] == ["/slow", "/1", "/2", "/3"]


async def test_a_connection_that_asked_for_its_end_is_closed_after_the_answer() -> None:
    async with door(Tasks()) as house:
        line = await house.line()
        assert (await line.ask("/a")).get("Connection") is None
        assert (await line.ask("/b", extra="Connection: close\r\n")).get("Connection") == "close"
        assert await line.ended() == b""
        assert len(house.told) == 2
