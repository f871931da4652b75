"""The whole table of bad inputs and attacks: each of its 146 rows is tried somewhere, or waits for a named issue.

A row is tried where a test's name holds ``row_N``, where a case of a table begins with ``Case(N,`` or ``(N,``, or where
``ELSEWHERE`` names the test. What waits stands in ``PENDING`` and is printed with the report of this file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROWS = range(1, 147)
TESTS = Path(__file__).parents[1]
TABLES = sorted(Path(__file__).parent.glob("test_hostile_*.py"))

PAGES = "pages: the web interface"
WEBHOOKS = "webhooks and replication"

# Row -> the issue that brings what it is about.
PENDING: dict[int, str] = {
    144: PAGES,
    146: WEBHOOKS,
}

# Row -> file and test, where a name does not tell the number.
ELSEWHERE: dict[int, tuple[str, str]] = {
    55: ("races/test_reclaim_and_pushes.py",
         "test_what_is_acknowledged_stays_while_reclaim_runs_and_the_rest_comes_back"),
    70: ("faces/test_door_abuse.py", "test_a_dripping_body_gets_408"),
    105: ("faces/test_ops_access_log.py", "test_no_credential_of_any_kind_comes_into_a_log"),
    109: ("faces/test_rest_matrix.py",
          "test_a_parameter_that_a_route_does_not_know_is_refused_and_the_known_ones_are_named"),
    118: ("contracts/test_metadata_sqlite_failures.py",
          "test_a_commit_that_fails_answers_all_of_its_group_unavailable_and_stops_the_writes"),
    141: ("contracts/test_upstream_login.py", "test_tokens_of_one_account_are_never_used_for_another"),
}  # fmt: skip


def tried() -> dict[int, set[str]]:
    """Row -> where it is tried."""
    found: dict[int, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        rows: set[int] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_row"):
                numbers = re.match(r"test_rows?_(\d+)((?:_(?:and|to)_\d+)*)", node.name)
                assert numbers is not None, node.name
                ends = [int(numbers[1]), *(int(more) for more in re.findall(r"\d+", numbers[2]))]
                rows |= set(range(ends[0], ends[-1] + 1)) if "_to_" in numbers[2] else set(ends)
        if path in TABLES:
            rows |= {int(number) for number in re.findall(r"^    (?:    )?(?:Case)?\((\d+), ", text, re.MULTILINE)}
        for row in rows:
            found.setdefault(row, set()).add(path.name)
    return found


def test_every_row_is_tried_or_waits_for_a_named_issue(capsys: pytest.CaptureFixture[str]) -> None:
    here = tried()
    for row, (file, name) in ELSEWHERE.items():
        assert f"def {name}(" in (TESTS / file).read_text(), f"row {row}: {file} has no {name}"
        here.setdefault(row, set()).add(Path(file).name)
    nowhere = [row for row in ROWS if row not in here and row not in PENDING]
    assert not nowhere, f"rows that are neither tried nor pending: {nowhere}"
    done = [row for row in PENDING if row in here]
    assert not done, f"rows that are tried, and so wait no more: {done}"
    assert set(here) <= set(ROWS)
    waiting: dict[str, list[int]] = {}
    for row, issue in sorted(PENDING.items()):
        waiting.setdefault(issue, []).append(row)
    with capsys.disabled():
        print(f"\nbad inputs: {len(here)} of {len(ROWS)} rows are tried")
        for issue, rows in waiting.items():
            print(f"  pending, {issue}: rows {', '.join(map(str, rows))}")
