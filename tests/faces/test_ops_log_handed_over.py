"""The thread that writes log lines is woken a few times a second, however many requests there are."""

from __future__ import annotations

import os

import pytest

from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.ops.access_log import AccessLog
from pierhead.faces.ops.sink import Sink
from tests.faces.asked import asked
from tests.faces.door_line import until


class Kept(Sink):
    """Keeps what it was handed."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, int]] = []

    def put(self, data: bytes, lines: int = 1) -> None:
        self.got.append((data, lines))


def log(sink: Kept, form: str) -> AccessLog:
    return AccessLog(sink, SystemClock(), RequestIds(SystemEntropy()), form)


@pytest.mark.parametrize("form", ["text", "json"])
async def test_lines_of_many_requests_are_handed_over_together_and_none_is_lost(form: str) -> None:
    sink = Kept()
    under_test = log(sink, form)
    for number in range(500):
        under_test.add(asked(target=f"/v2/n-{number}"), 200, 10, 0.001)
    assert sink.got == []
    await until(lambda: bool(sink.got), "the lines")
    ((data, lines),) = sink.got
    assert lines == data.count(b"\n") == 500
    assert [line for line in range(500) if f"/v2/n-{line}".encode() not in data] == []
    under_test.add(asked(), 200, 10, 0.001)
    under_test.flush()
    assert len(sink.got) == 2


async def test_so_many_lines_are_not_waited_for() -> None:
    sink = Kept()
    under_test = log(sink, "text")
    for _ in range(2_000):
        under_test.add(asked(("User-Agent", os.urandom(150).hex())), 200, 10, 0.001)
    assert len(sink.got) >= 2
    assert max(len(data) for data, _ in sink.got) < 512 << 10
    under_test.flush()
    assert sum(lines for _, lines in sink.got) == 2_000
