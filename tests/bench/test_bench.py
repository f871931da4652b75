"""The benchmark is a test with small numbers: it has to run, not to be fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.processes import program

ROOT = Path(__file__).parents[2]


@pytest.mark.server
@pytest.mark.slow
def test_the_benchmark_runs_and_prints_its_goals() -> None:
    for name in ("wrk", "docker-registry", "nginx"):
        program(name)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--small"], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| manifest by tag | pierhead |" in done.stdout
    assert "| manifest by tag | docker-registry |" in done.stdout
    assert "| manifest by tag, bearer token | pierhead |" in done.stdout
    assert "| token endpoint | pierhead |" in done.stdout
    assert "small images per second" in done.stdout
    assert "promotion at 10 GB: times what it costs at 1 MB" in done.stdout
    for goal in ("100 tags among 1,000: times", "ready with 1,000 tags: seconds", "memory at rest, MB"):
        assert f"| {goal}" in done.stdout
