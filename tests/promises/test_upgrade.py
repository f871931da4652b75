"""A data folder that another version has written, that is none of this program's, or that is a copy of another."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import apsw
import pytest

from pierhead.adapters.sqlite.connect import SCHEMA_VERSION
from pierhead.boot.settings import LimitSettings
from pierhead.boot.wire import DATABASE_FILE
from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import plain_environment, run
from tests.peers.wire import Wire
from tests.promises.houses import DEV, hosted_only
from tests.promises.ledger import Ledger, plain_layer, push_until, verify, verify_whole


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


SCHEMA = Path(__file__).parents[2] / "src/pierhead/adapters/sqlite/schema"


def test_a_folder_of_the_first_version_gets_the_tables_that_came_since_and_keeps_what_it_holds(
    start_pierhead: StartPierhead,
) -> None:
    server = start_pierhead(hosted_only())
    kept = image([plain_layer(300_000, 1)], seed=1)
    with server.wire(DEV) as wire:
        wire.push("upgrade/kept", "1", kept)
    assert server.stop() == 0
    first = set(re.findall(r"^CREATE TABLE (\w+)", (SCHEMA / "0001.sql").read_text(), re.MULTILINE))
    connection = apsw.Connection(str(server.data / DATABASE_FILE))
    later = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
    connection.execute("PRAGMA foreign_keys=OFF")
    for name in later:
        if name not in first and not name.startswith("sqlite_"):
            connection.execute(f"DROP TABLE {name}")
    indexes = set(re.findall(r"^CREATE (?:UNIQUE )?INDEX (\w+)", (SCHEMA / "0001.sql").read_text(), re.MULTILINE))
    for name in [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='index'")]:
        if name not in indexes and not name.startswith("sqlite_"):
            connection.execute(f"DROP INDEX {name}")
    steps = "".join(path.read_text() for path in sorted(SCHEMA.glob("*.sql")))
    for table, column in re.findall(r"^ALTER TABLE (\w+) ADD COLUMN (\w+)", steps, re.MULTILINE):
        if table in first:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    server.start()
    assert pragma(server.data, "user_version") == SCHEMA_VERSION
    with server.wire(DEV) as wire:
        assert wire.get_manifest("upgrade/kept", "1").expect(200).body == kept.manifest.data
    with server.wire() as wire:
        made = json.dumps({"name": "later", "roles": ["deployer"], "password": "a-long-password"}).encode()
        wire.request("POST", "/api/v1/accounts", made, {"Content-Type": "application/json"}).expect(201)
    with Wire(server.port(DEV), "later", "a-long-password") as wire:
        assert wire.get_manifest("upgrade/kept", "1").status == 200


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


OPERATE = Path(__file__).parents[2] / "docs/operate.md"


def documented(heading: str, data: Path, backup: Path) -> str:
    """The first shell block below a heading of docs/operate.md, for other folders and this Python."""
    section = OPERATE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.search(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    changed = {
        "/opt/pierhead/bin/python": sys.executable,
        "/var/lib/pierhead": str(data),
        "/backup/pierhead": str(backup),
    }
    text = found[1]
    for one, other in changed.items():
        assert one in text or one != "/var/lib/pierhead"
        text = text.replace(one, other)
    return text


def test_a_backup_as_documented_while_pushes_go_on_opens_with_all_that_was_acknowledged_before(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    server = start_pierhead(hosted_only())
    backup = tmp_path / "backup"
    backup.mkdir(mode=0o700)
    before, meanwhile = [Ledger("backup/before")], [Ledger("backup/meanwhile")]
    push_until(lambda: server.wire(DEV), before, 40, seed=1, then=lambda: None)
    password = server.admin_password

    def back_up() -> None:
        shell(documented("Backup", server.data, backup))

    push_until(lambda: server.wire(DEV), meanwhile, 20, seed=2, then=back_up)
    assert shell(documented("When the disk fails", server.data, backup)) == ""
    copy = Pierhead(hosted_only(), tmp_path / "restored")
    backup.rename(copy.data)
    with copy, Wire(copy.port(DEV), "admin", password) as wire:
        verify(wire, before[0])
        for name in wire.request("GET", "/v2/_catalog").expect(200).json()["repositories"]:
            for tag in wire.tags(name):
                verify_whole(wire, name, wire.get_manifest(name, tag).expect(200).body)


def test_a_blob_that_was_changed_on_the_disk_is_found_as_documented(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    server = start_pierhead(hosted_only())
    with server.wire(DEV) as wire:
        wire.push("upgrade/damaged", "1", image([plain_layer(300_000, 1)], seed=1))
    stored = next(path for path in (server.data / "blobs/sha256").glob("*/*"))
    stored.chmod(0o600)
    with stored.open("r+b") as file:
        file.write(b"rot")
    assert stored.name in shell(documented("When the disk fails", server.data, tmp_path))


def shell(lines: str) -> str:
    """Run it as a person would; what it prints."""
    done = run(["sh", "-c", lines], environment=plain_environment(Path("/tmp")), check=False)
    assert done.returncode == 0 or "FAILED" in done.stdout, done.stderr
    return done.stdout


def test_the_unit_gives_the_drain_its_time_and_starts_what_there_is() -> None:
    unit = (Path(__file__).parents[2] / "examples/systemd/pierhead.service").read_text()
    keys = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert int(keys["TimeoutStopSec"]) > LimitSettings().drain_seconds
    assert keys["RestartPreventExitStatus"] == "2"
    told = run([sys.executable, "-m", "pierhead", "serve", "--help"], environment=plain_environment(Path("/tmp")))
    for option in re.findall(r"--\w+", keys["ExecStart"]):
        assert option in told.stdout
