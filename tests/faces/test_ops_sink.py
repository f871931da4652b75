"""Log lines never hold anybody up: not when the reader has stopped, nor when it has gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pierhead.faces.ops.sink import QUEUE_BYTES_MAX, Sink
from tests.peers.processes import wait_until

LINE = b"x" * 999 + b"\n"


def test_lines_arrive_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    sink = Sink(writing, "test")
    lines = [b"%d %s\n" % (number, b"y" * (number % 300)) for number in range(500)]
    for at in range(0, 500, 10):
        sink.put(b"".join(lines[at : at + 10]), 10)
    got = b""
    while got.count(b"\n") < 500:
        got += os.read(reading, 1 << 16)
    sink.close()
    os.close(reading)
    os.close(writing)
    assert got == b"".join(lines)
    assert sink.dropped == 0


def test_a_flush_ends_when_everything_put_before_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        sink = Sink(file.fileno(), "test")
        for number in range(200):
            sink.put(LINE)
            if number % 20 == 19:
                sink.flush(60)
                assert path.stat().st_size == (number + 1) * len(LINE)
        sink.close()


def test_a_reader_that_stops_costs_lines_and_no_time() -> None:
    reading, writing = os.pipe()
    sink = Sink(writing, "test")
    before = time.monotonic()
    for _ in range(3 * QUEUE_BYTES_MAX // len(LINE)):
        sink.put(LINE)
    assert time.monotonic() - before < 5, "put waited for the reader"
    assert sink.dropped >= QUEUE_BYTES_MAX // len(LINE)
    assert sink._queued <= QUEUE_BYTES_MAX
    before = time.monotonic()
    sink.flush(seconds=0.2)
    sink.close(seconds=0.2)
    assert time.monotonic() - before < 3
    os.close(reading)


def test_a_reader_that_has_gone_is_counted_and_the_sink_goes_on() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = Sink(writing, "test")
    sink.put(LINE * 3, 3)
    wait_until(lambda: sink.dropped == 3, 5, "the lines that nobody takes are counted")
    sink.put(LINE)
    wait_until(lambda: sink.dropped == 4, 5, "the thread still runs")
    sink.close()
    os.close(writing)


def test_what_goes_to_a_pipe_is_cut_between_lines_so_that_processes_do_not_mix() -> None:
    from pierhead.faces.ops.sink import _parts

    data = b"".join(b"%04d %s\n" % (number, b"z" * (number % 900)) for number in range(200))
    parts = list(_parts(data, 4096))
    assert b"".join(parts) == data
    assert all(part.endswith(b"\n") and len(part) <= 4096 for part in parts)
    long = b"a" * 10_000 + b"\nb\n"
    assert b"".join(_parts(long, 4096)) == long
