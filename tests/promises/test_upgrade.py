"""A data folder that another version has written, or that is none of this program's."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from pierhead.adapters.sqlite.connect import SCHEMA_VERSION
from pierhead.boot.wire import DATABASE_FILE
from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import run
from tests.promises.houses import DEV, hosted_only
from tests.promises.ledger import plain_layer


def pragma(data: Path, statement: str) -> object:
    connection = apsw.Connection(str(data / DATABASE_FILE))
    try:
        return connection.execute(f"PRAGMA {statement}").get
    finally:
        connection.close()


def says_when_started(server: Pierhead) -> str:
    """What it says of why it does not start."""
    ended = run(server.command(), environment=server.environment(), check=False, seconds=30)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_folder_of_a_newer_version_is_refused_untouched_and_opens_again_for_its_own(
    start_pierhead: StartPierhead,
) -> None:
    server = start_pierhead(hosted_only())
    kept = image([plain_layer(300_000, 1), plain_layer(1_000, 2)], seed=1)
    with server.wire(DEV) as wire:
        wire.push("upgrade/kept", "1", kept)
    assert server.stop() == 0
    pragma(server.data, f"user_version={SCHEMA_VERSION + 8}")
    before = (server.data / DATABASE_FILE).read_bytes()
    said = says_when_started(server)
    assert f"written by a newer Pierhead (schema {SCHEMA_VERSION + 8}, this one knows {SCHEMA_VERSION})" in said
    assert "Start that version, or restore a backup from before the upgrade." in said
    assert (server.data / DATABASE_FILE).read_bytes() == before
    pragma(server.data, f"user_version={SCHEMA_VERSION}")
    server.start()
    with server.wire(DEV) as wire:
        assert wire.get_manifest("upgrade/kept", "1").expect(200).body == kept.manifest.data
        assert [wire.get_blob("upgrade/kept", b.digest).body for b in kept.blobs] == [b.data for b in kept.blobs]


def test_a_folder_without_a_schema_yet_gets_one(tmp_path: Path) -> None:
    """As it is after a kill in the midst of the first start: a database file of no bytes."""
    server = Pierhead(hosted_only(), tmp_path)
    server.data.mkdir()
    (server.data / DATABASE_FILE).touch()
    with server:
        assert pragma(server.data, "user_version") == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"this is no database" * 1_000, "is no database, or is damaged. Restore the last backup."),
        (None, "belongs to another program. Name another data folder."),
    ],
    ids=["damaged", "foreign"],
)
def test_a_file_that_is_not_this_programs_is_refused_with_a_sentence_and_left_as_it_is(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    server = Pierhead(hosted_only(), tmp_path)
    server.data.mkdir()
    file = server.data / DATABASE_FILE
    if content is not None:
        file.write_bytes(content)
    else:
        foreign = apsw.Connection(str(file))
        foreign.execute("CREATE TABLE theirs (x)")
        foreign.close()
    before = file.read_bytes()
    assert sentence in says_when_started(server)
    assert file.read_bytes() == before
