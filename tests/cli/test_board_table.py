"""The board as a terminal and a pipe get it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pierhead.cli.board import columns, runs, sign
from pierhead.cli.tables import Json, Look, show

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0123456789" * 6 + "abcd"


def held(tag: str, since: str, **more: Any) -> Json:
    found = {
        "tag": tag,
        "digest": DIGEST,
        "since": since,
        "by": "svc-promoter",
        "through": None,
        "commit": None,
        "branch": None,
        "witness": None,
    }
    return {**found, **more}


def stage(name: str, holds: Json | None, gate: str | None = None, newer: int = 0) -> Json:
    told = None if gate is None else {"state": gate, "newer": newer}
    return {"stage": name, "gate": told, "holds": holds, "moving": []}


JOB = {"job": "https://gitlab.example/a/b/-/jobs/81234"}
ROWS: list[Json] = [
    {
        "service": "server",
        "image": "orchestrator/server",
        "stages": [
            {
                **stage(
                    "dev",
                    held(
                        "main-a1b2c3d",
                        "2026-11-23T10:00:00Z",
                        commit="c" * 40,
                        witness="login",
                        through=JOB,
                        branch="main",
                    ),
                ),
                "moving": [{"tag": "latest", "digest": DIGEST, "same_as": "main-a1b2c3d"}],
            },
            stage(
                "uat", held("1.4.1", "2026-11-22T12:00:00Z", commit="d" * 40, witness="label"), gate="newer", newer=3
            ),
            stage("prod", held("1.4.1", "2026-11-17T12:00:00Z"), gate="equal"),
        ],
        "runs": [],
    },
    {
        "service": None,
        "image": "team/tool",
        "stages": [stage("dev", None), stage("uat", None, gate="nothing")],
        "runs": [],
    },
]


def test_a_narrow_terminal_keeps_services_tags_and_gates(capsys: pytest.CaptureFixture[str]) -> None:
    show(list(columns(ROWS)), ROWS, Look(terminal=True, width=46, color=False, now=NOW), "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SERVICE", "DEV", "UAT", "PROD"]
    assert lines[1].split() == ["server", "main-a1b2c3d", "->3", "1.4.1", "=", "1.4.1"]
    assert lines[2].startswith("(team/tool)"), "an image that belongs to no service is marked"
    assert "Not shown: AGE, DEV COMMIT" in lines[3]


def test_a_wide_terminal_has_ages_commits_and_who_put_it_there(capsys: pytest.CaptureFixture[str]) -> None:
    show(list(columns(ROWS)), ROWS, Look(terminal=True, width=400, color=False, now=NOW), "")
    head, first, *_ = capsys.readouterr().out.splitlines()
    for word in ("2 h", "1 d", "6 d", "ccccccc ", "ddddddd*", "job 81234", "svc-promoter", "01234567 "):
        assert word in first, "a commit that only a label says bears a star"
    assert "MOVING" in head
    assert "dev latest = main-a1b2c3d" in first


def test_a_pipe_gets_whole_digests_commits_and_instants(capsys: pytest.CaptureFixture[str]) -> None:
    show(list(columns(ROWS)), ROWS, Look(terminal=False, width=20, color=False), "")
    first = capsys.readouterr().out.splitlines()[1]
    for word in (DIGEST, "c" * 40, "2026-11-23T10:00:00Z"):
        assert word in first


@pytest.mark.parametrize(
    ("state", "newer", "said"),
    [
        ("equal", 0, "="),
        ("newer", 3, "->3"),
        ("newer", 100, "->99+"),
        ("first", 1, "->first"),
        ("older", 0, "<-"),
        ("gone", 0, "?"),
        ("nothing", 0, ""),
        ("unheard-of", 0, "unheard-of"),
    ],
)
def test_each_state_of_a_gate_has_a_sign_and_one_that_is_not_known_its_word(state: str, newer: int, said: str) -> None:
    assert sign(stage("uat", None, gate=state, newer=newer)) == said


def test_a_promotion_that_waits_says_how_many_approved_it_and_its_number() -> None:
    waits = stage("uat", None)
    assert sign({**waits, "gate": {"state": "waits", "promotion": 418, "approvals": "1 of 2"}}) == "(1/2) #418"
    assert sign({**waits, "gate": {"state": "waits", "promotion": 418, "approvals": None}}) == "(..) #418"


# --- what runs -------------------------------------------------------------------------------------------------------

TERMINAL = Look(terminal=True, width=200, color=False, now=NOW)


def run(state: str, count: int = 1, tag: str | None = "1.4.1", **more: Any) -> Json:
    found = {
        "cluster": "prod-eu",
        "stage": "prod",
        "count": count,
        "state": state,
        "tag": tag,
        "digest": DIGEST,
        "reported": "2026-11-23T09:00:00Z",
        "stale": False,
    }
    return {**found, **more}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], ""),
        ([run("current", 7), run("current", 5)], "ok 12/12"),
        ([run("current", 7), run("other", 2, "0.30.4")], "! 2 of 9 on 0.30.4"),
        ([run("other", 1, "0.30.4"), run("other", 2, "0.30.4")], "! 3 of 3 on 0.30.4"),
        ([run("absent", 1, "1.5.0")], "! 1 of 1 on 1.5.0, not in prod"),
        ([run("absent", 1, None)], "! 1 of 1 on 01234567, not in prod"),
        ([run("unknown", 1, "1.4", digest=None)], "! 1 of 1 on 1.4, digest unknown"),
        ([run("current", 9, stale=True)], "silent 3 h"),
        ([run("current", 9, stale=True), run("current", 2)], "ok 2/2"),
        ([run("current", 3, stage="uat"), run("current", 2)], "ok 2/2"),
        ([run("other", 1, "1.3", stage="uat"), run("current", 2)], "ok 2/2, uat ! 1 of 1 on 1.3"),
        ([run("current", 3, stage="uat")], "ok 3/3"),
    ],
)
def test_what_runs_is_told_in_few_words(found: list[Json], said: str) -> None:
    assert runs({**ROWS[0], "runs": found}, TERMINAL) == said


def test_the_column_of_what_runs_is_there_once_something_does(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**ROWS[0], "runs": [run("current")]}, ROWS[1]]
    show(list(columns(rows)), rows, TERMINAL, "")
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert "RUNS" in head
    assert "ok 1/1" in first
