"""Readers that are slow, stall, or never take the last answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from pierhead.faces.door.ask import Answer, AnyAnswer, Ask
from pierhead.faces.door.server import Settings
from tests.faces.door_ground import GET, Sloth, many
from tests.faces.door_line import door, until

LAZY = Settings(stall_seconds=0.4, pace_bytes=1024)


@pytest.mark.parametrize("target", [b"/stream", b"/file", b"/answer"])
async def test_a_reader_that_stalls_is_cut(blob: Path, target: bytes) -> None:
    async with door(lambda ask: many(ask, blob), LAZY) as house:
        sloth = Sloth(house.port.port, GET % target)
        await until(lambda: house.port.running == 1, "the request")
        await until(lambda: house.port.running == 0, "the cut")
        await until(lambda: house.port.connections == 0, "the end of the connection")
        sloth.socket.close()


@pytest.mark.parametrize("target", [b"/stream", b"/file", b"/answer"])
async def test_a_slow_reader_that_goes_on_reading_is_not_cut(blob: Path, target: bytes) -> None:
    async with door(lambda ask: many(ask, blob), LAZY) as house:
        sloth = Sloth(house.port.port, GET % target)
        last = monotonic() + 1.5
        while monotonic() < last:
            assert await sloth.read(8192) > 0
            await asyncio.sleep(0.02)
        assert house.port.running == 1
        sloth.socket.close()


async def test_a_reader_who_never_takes_the_last_answer_does_not_stay(blob: Path) -> None:
    settings = Settings(stall_seconds=0.3, idle_seconds=0.3, head_seconds=0.3, linger_seconds=0.1)

    async def handler(ask: Ask) -> AnyAnswer:
        return Answer(200, (), b"x" * 60_000)

    async with door(handler, settings) as house:
        sloth = Sloth(house.port.port, GET % b"/" * 400)
        await until(lambda: house.port.connections == 1, "the connection")
        await until(lambda: house.port.connections == 0, "its end")
        sloth.socket.close()
