"""Promotions on the embedded store: the contract, kills at any statement, work that follows one image alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from pierhead.adapters.sqlite import graph, promotions
from pierhead.adapters.sqlite.connect import connect, migrate
from pierhead.adapters.sqlite.rows import Transaction
from pierhead.commits.promotion import promote
from pierhead.commits.promotion_pointer import name_pointer
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.policy import WritePolicy
from tests.contracts.metadata_promotions import CURRENT, Line, PromotionsContract, push_whole
from tests.contracts.rows import HandClock, Shelf
from tests.contracts.test_metadata_sqlite import Sqlite, verify_chain


class TestPromotionsOnSqlite(Sqlite, PromotionsContract):
    """See the contract."""


class Ground:
    """A database with three stages and one image in the first; ``begun`` is in a transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = connect(path, writable=True)
        migrate(self.connection)
        self.tx = Transaction(self.connection, HandClock())
        self.begin()
        rows = [
            self.tx.repositories.ensure(RepositoryName(name), "hosted", WritePolicy.ALLOW_ONCE)
            for name in ("dev", "uat", "prod")
        ]
        dev, uat, prod = map(Shelf, rows)
        self.line = Line(dev, uat, prod)
        name_pointer(self.tx, CURRENT)
        self.whole = push_whole(self.tx, self.line.dev, "1.0")
        self.connection.execute("COMMIT")

    def begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.tx.begin()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path / "pierhead.db")
    yield made
    made.connection.close()


# What a promotion leaves behind, each once or not at all.
TRACES = {
    "row": "SELECT count(*) FROM promotions WHERE state='done'",
    "pointer": "SELECT count(*) FROM pointers WHERE until IS NULL",
    "tag": "SELECT count(*) FROM tags t JOIN images i ON i.id=t.image_id AND i.repository_id=2 WHERE t.name='1.0'",
    "current": "SELECT count(*) FROM tags WHERE name='current' AND until IS NULL",
    "event": "SELECT count(*) FROM events WHERE kind='promoted'",
    "manifests": "SELECT count(*)/6 FROM manifest_links l JOIN images i ON i.id=l.image_id AND i.repository_id=2",
    "blobs": "SELECT count(*)/3 FROM blob_links l JOIN images i ON i.id=l.image_id AND i.repository_id=2",
    "referrers": "SELECT count(*)/2 FROM referrers r JOIN images i ON i.id=r.image_id AND i.repository_id=2",
}


def traces(path: Path) -> dict[str, int]:
    connection = apsw.Connection(str(path))
    found = {name: int(connection.execute(text).get or 0) for name, text in TRACES.items()}
    connection.close()
    return found


def test_killed_at_every_step_it_is_done_or_not_begun(ground: Ground, tmp_path: Path) -> None:
    copies: list[Path] = []

    def copy(*_: Any) -> bool:
        """What a process that is killed here leaves in the folder."""
        folder = tmp_path / f"killed-{len(copies)}"
        folder.mkdir()
        for file in tmp_path.glob("pierhead.db*"):
            shutil.copy(file, folder)
        copies.append(folder / "pierhead.db")
        return True

    ground.connection.exec_trace = copy
    ground.begin()
    promote(ground.tx, ground.line.move())
    ground.connection.cache_flush()
    copy()
    ground.connection.execute("COMMIT")
    ground.connection.exec_trace = None
    copy()
    assert len(copies) > 25
    states = []
    for path in copies:
        verify_chain(path)
        found = set(traces(path).values())
        assert len(found) == 1, traces(path)
        states.append(found.pop())
    assert states == [0] * (len(copies) - 1) + [1]


PLANS = {
    "reach": graph.REACH,
    "lacking": graph.LACKING,
    "fallback tags": graph.FALLBACK,
    "manifests": graph.GIVE_MANIFESTS,
    "blobs": graph.GIVE_BLOBS,
    "referrers": graph.GIVE_REFERRERS,
    "one that waits": promotions.WAITS,
    "the last": promotions.LAST_DONE,
    "by key": promotions.BY_KEY,
    "due": promotions.DUE,
    "whether one is due": promotions.ANY_DUE,
    "what is held": promotions.NOW,
    "what was held before": promotions.EARLIER,
    "followers": promotions.FOLLOWERS,
}


@pytest.mark.parametrize("name", PLANS)
def test_no_statement_of_a_promotion_reads_a_whole_table(ground: Ground, name: str) -> None:
    statement = PLANS[name]
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    values = [None] * max(numbered, default=statement.count("?"))
    plan = [str(row[3]) for row in ground.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    scans = [line for line in plan if line.startswith("SCAN")]
    of_tables = [
        line for line in scans if not re.search(r"VIRTUAL TABLE|CONSTANT|\b(below|reached|going|[bgr])\b", line)
    ]
    assert not of_tables, plan


def test_a_promotion_costs_as_many_statements_beside_a_thousand_images_as_alone(ground: Ground) -> None:
    counted: list[int] = []
    for round_ in range(2):
        steps: list[int] = []
        ground.connection.trace_v2(
            apsw.SQLITE_TRACE_PROFILE,
            lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),  # noqa: B023
        )
        ground.begin()
        promote(ground.tx, ground.line.move())
        ground.connection.execute("ROLLBACK")
        ground.connection.trace_v2(0, None)
        counted.append(sum(steps))
        if round_ == 0:
            ground.begin()
            for number in range(1000):
                push_whole(ground.tx, Shelf(ground.line.dev.repository, ImageName(f"beside/i{number}")), "1.0")
            ground.connection.execute("COMMIT")
    alone, beside = counted
    assert beside <= alone * 1.2 + 100, counted
