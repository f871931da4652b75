"""`pierhead audit verify` and `audit head` on a data folder, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from pierhead.boot.audit import heads_in
from pierhead.boot.wire import DATABASE_FILE
from pierhead.cli.main import main
from tests.contracts.test_metadata_sqlite_record import ROWS, fill, head_at


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / DATABASE_FILE, ROWS)
    return tmp_path


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


def cut(data: Path, where: str) -> None:
    connection = apsw.Connection(str(data / DATABASE_FILE))
    connection.execute(f"DELETE FROM events WHERE {where}")
    connection.close()


def test_a_whole_record_is_told_in_one_sentence_with_its_head(data: Path) -> None:
    done = call("verify", "--data", data)
    head = head_at(data / DATABASE_FILE, ROWS)
    assert done.exit_code == 0
    assert done.output == f"The record is whole: {ROWS} events. Its head:  {head}\n"
    assert call("head", "--data", data).output == f"{head}\n"
    assert json.loads(call("head", "--data", data, "-o", "json").output) == {"seq": ROWS, "hash": head.hash.hex()}


def test_what_is_wrong_is_named_and_the_command_ends_with_one(data: Path) -> None:
    cut(data, "seq IN (7, 8)")
    done = call("verify", "--data", data)
    assert done.exit_code == 1
    assert done.stdout == "missing: events 7 to 8 are missing: they were taken out.\n"
    assert "not whole" in done.stderr
    told = json.loads(call("verify", "--data", data, "-o", "json").stdout)
    assert (told["whole"], told["events"], told["problems"]) == (False, ROWS - 2, 1)
    assert [(one["seq"], one["what"]) for one in told["items"]] == [(9, "missing")]


def test_heads_of_the_command_line_and_of_a_file_are_held_against_the_record(data: Path, tmp_path: Path) -> None:
    first, last = (head_at(data / DATABASE_FILE, seq) for seq in (20, ROWS))
    log = tmp_path / "server.log"
    log.write_bytes(f"12:00 the record of events stands at {last}.\n\xff\n".encode("latin-1"))
    done = call("verify", "--data", data, "--head", first, "--heads", log)
    assert (done.exit_code, "2 heads stand in it" in done.output) == (0, True)
    cut(data, "seq > 30")
    assert call("verify", "--data", data, "--head", first).exit_code == 0
    done = call("verify", "--data", data, "--heads", log)
    assert done.exit_code == 1
    assert f"ends with event 30, but the head that was given is event {ROWS}" in done.stdout


@pytest.mark.parametrize("head", ["12", "12:abc", "x:" + "0" * 64, "0:" + "0" * 64, ""])
def test_what_is_no_head_is_refused_with_an_example(data: Path, head: str) -> None:
    done = call("verify", "--data", data, "--head", head)
    assert done.exit_code == 2
    assert "it looks like" in done.output


def test_heads_are_found_in_any_text_and_digests_are_none() -> None:
    one, other = "0" * 63 + "1", "a" * 64
    text = f'{{"event": "stands at 12:{one}"}}\nsha256:{other} 7:{other}. 7:{other}\n99:{other}0 1.2.3.4:80'
    assert [str(head) for head in heads_in(text)] == [f"12:{one}", f"7:{other}"]


@pytest.mark.parametrize("command", ["verify", "head"])
def test_a_folder_without_a_database_is_refused_with_what_to_do(tmp_path: Path, command: str) -> None:
    done = call(command, "--data", tmp_path)
    assert done.exit_code == 1
    assert "is no data folder" in done.stderr
    (tmp_path / DATABASE_FILE).write_bytes(b"something else" * 1_000)
    done = call(command, "--data", tmp_path)
    assert done.exit_code == 1
    assert "no database, or is damaged" in done.stderr


@pytest.mark.parametrize("words", [("--follow", "--limit", "3"), ("--follow", "--until", "1h"), ("--after", "3")])
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...]) -> None:
    assert call(*words).exit_code == 2
