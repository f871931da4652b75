"""What a look-up costs must not grow with what is stored: its plan, and the steps that it really takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from pierhead.adapters.sqlite import (
    accounts,
    blobs,
    board,
    expiry,
    lookups,
    manifests,
    protected,
    reports,
    running,
    sessions,
    tags,
    trash,
    uploads,
)
from pierhead.adapters.sqlite.connect import connect, migrate
from pierhead.adapters.sqlite.rows import Transaction
from pierhead.domain.board import BoardRules
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.ports.metadata.values import Event, UploadRow
from tests.contracts.rows import HOUR, IMAGE, HandClock, Shelf, manifest

GROUP = 3
LAYER = b"a layer that every image has"
SUBJECT = Digest.of(b"subject")


def members(template: str, count: int = GROUP) -> str:
    return template.replace("{members}", ",".join("?" * count))


INDEXES = {
    "a session": (sessions.SELECT_SESSION, ["PRIMARY KEY (id=?)"]),
    "tag": (
        members(lookups.TAG),
        [
            *["images_by_name (repository_id=? AND name=?)", "tags_open (image_id=? AND name=?)"],
            *["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"],
        ],
    ),
    "manifest": (
        members(lookups.MANIFEST),
        [
            *[
                "manifests_1 (digest=?)",
                "images_by_name (repository_id=?",
                "PRIMARY KEY (image_id=? AND manifest_id=?)",
            ],
            "INTEGER PRIMARY KEY",
        ],
    ),
    "blob": (
        members(lookups.BLOB),
        ["blobs_1 (digest=?)", "images_by_name (repository_id=?", "PRIMARY KEY (image_id=? AND blob_id=?)"],
    ),
    "a page of tags": (
        lookups.merged(lookups.TAGS, GROUP, 4),
        ["images_by_name (repository_id=? AND name=?)", "tags_open (image_id=? AND name>?)"] * GROUP,
    ),
    "a page of images": (
        lookups.merged(lookups.IMAGES, GROUP, 3),
        ["images_by_name (repository_id=? AND name>?)", "PRIMARY KEY (image_id=?)"] * GROUP,
    ),
    "what names a digest": (
        lookups.NAMING,
        [
            *["PRIMARY KEY (image_id=?)", "PRIMARY KEY (manifest_id=? AND blob_id=?)", "blobs_1 (digest=?)"],
            *["manifest_children_by_child (child=?)", "PRIMARY KEY (image_id=? AND manifest_id=?)"],
        ],
    ),
    "a shared blob": (
        lookups.SHARED,
        ["blobs_1 (digest=?)", "blob_links_by_blob (blob_id=?)", "INTEGER PRIMARY KEY"],
    ),
    "referrers": (
        lookups.referrers_page(GROUP, typed=True),
        [
            *["PRIMARY KEY (image_id=? AND subject=? AND artifact_type=? AND manifest_id>?)", "images_by_name"] * GROUP,
            "INTEGER PRIMARY KEY",
        ],
    ),
    "referrers of all types": (
        lookups.referrers_page(GROUP, typed=False),
        [
            *["referrers_in_order (image_id=? AND subject=? AND manifest_id>?)", "images_by_name"] * GROUP,
            "INTEGER PRIMARY KEY",
        ],
    ),
    "a stored manifest": (manifests._STORED, ["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"]),
    "tags of a manifest": (
        tags.OF_MANIFEST,
        ["tags_by_manifest (image_id=? AND manifest_id=?)", "tags_once (image_id=? AND name=?)"],
    ),
    "an open tag": (tags._OPEN, ["tags_open (image_id=? AND name=?)"]),
    "a spent tag": (tags._ONCE, ["tags_once (image_id=? AND name=?)"]),
    "a tag's history": (
        reports.HISTORY,
        [
            *["repositories_1 (name=?)", "images_by_name", "tags_open (image_id=? AND name=?)"],
            *["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"],
            *["repositories_1 (name=?)", "images_by_name", "tags_closed (image_id=? AND name=?)"],
            *["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"],
        ],
    ),
    "what was deleted too long ago": (
        trash.DUE,
        ["trash_by_age (deleted<?)", *["INTEGER PRIMARY KEY"] * 3],
    ),
    "what stands in a stage": (
        board.candidates(4),
        [
            *["tags_latest (image_id=?)", "repositories_1 (name=?)", "images_by_name (repository_id=? AND name=?)"],
            *["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"],
        ],
    ),
    "what is newer than that": (
        board.newer(4),
        [
            *["tags_latest (image_id=? AND since>?)", "repositories_1 (name=?)", "images_by_name"],
            *["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY"],
        ],
    ),
    "when bytes came to a stage": (
        board.arrival(4),
        [
            *["manifests_1 (digest=?)", "tags_by_manifest (image_id=? AND manifest_id=?)"],
            *["repositories_1 (name=?)", "images_by_name"],
        ],
    ),
    "images that have tags": (
        board.IMAGES,
        ["repositories_1 (name=?)", "images_by_name (repository_id=? AND name>?)", "(image_id=?)"],
    ),
    "what runs of an image": (running.OF_IMAGE, ["running_by_image (image=?)"]),
    "what runs in a cluster": (running.PAGE_OF_CLUSTER, ["running_by_cluster (cluster=? AND id>?)"]),
    "a stage that holds a digest": (
        protected.POINTED_AT,
        ["pointers_by_digest (digest=?)", *["INTEGER PRIMARY KEY"] * 2],
    ),
    "a cluster that runs a digest": (protected.RUNS, ["running_by_digest (digest=?)"]),
    "one tag for expiry": (
        expiry.ONE,
        [
            *["tags_open (image_id=? AND name=?)", "INTEGER PRIMARY KEY", "tags_once (image_id=? AND name=?)"],
            "PRIMARY KEY (manifest_id=?)",
        ],
    ),
    "pulls of a digest": (expiry.PULLS, ["PRIMARY KEY (image_id=? AND digest=? AND tag=?)"]),
    "due reviews": (blobs.DUE, ["gc_queue_by_review (review<?)", "INTEGER PRIMARY KEY"]),
    "blobs being deleted": (blobs.DELETING, ["blobs_leaving (state=?)"]),
    "an upload": (uploads.SELECT_UPLOAD, ["PRIMARY KEY (id=?)"]),
    "an access token": (accounts.ACCESS_TOKEN, ["access_tokens_2 (hash=?)"]),
    "access tokens of an account": (accounts.ACCESS_TOKENS, ["access_tokens_by_account (account=?)"]),
    "uses of an account's passwords": (accounts.USES, ["PRIMARY KEY (account=?)"]),
    "a note": (lookups.NOTE, ["PRIMARY KEY (name=?)"]),
}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = connect(tmp_path / "empty.db", writable=True)
    migrate(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", INDEXES)
def test_a_hot_statement_goes_by_its_indexes(empty: apsw.Connection, name: str) -> None:
    statement, wanted = INDEXES[name]
    plan = plan_of(empty, statement)
    searches = [line for line in plan if line.startswith("SEARCH")]
    assert len(searches) == len(wanted), plan
    for line, index in zip(searches, wanted):
        assert index in line, plan
    scans = [line for line in plan if line.startswith("SCAN") and "(subquery" not in line]
    assert not scans, plan


@pytest.mark.parametrize("name", ["tag", "manifest", "blob", "an open tag", "due reviews", "an access token", "a note"])
def test_a_statement_of_the_pull_path_sorts_nothing(empty: apsw.Connection, name: str) -> None:
    statement, _ = INDEXES[name]
    assert not [line for line in plan_of(empty, statement) if "TEMP B-TREE" in line]


def plan_of(connection: apsw.Connection, statement: str) -> list[str]:
    """EXPLAIN does not care for what the parameters are, only that none is missing."""
    explained = f"EXPLAIN QUERY PLAN {statement}"
    return [str(row[3]) for row in connection.execute(explained, [None] * _parameters(statement))]


def _parameters(statement: str) -> int:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    return max(numbered, default=statement.count("?"))


class Stocked:
    """A database with ``size`` tags, images, intervals, uploads, reviews; all images share a manifest and a layer."""

    def __init__(self, path: Path, size: int) -> None:
        self.connection = connect(path, writable=True)
        migrate(self.connection)
        self.tx = Transaction(self.connection, HandClock())
        self.connection.execute("BEGIN IMMEDIATE")
        self.tx.begin()
        names = [RepositoryName(name) for name in ("prod", "uat", "dev")]
        rows = [self.tx.repositories.ensure(name, "hosted", WritePolicy.ALLOW) for name in names]
        self.group = tuple(row.id for row in rows)
        for row in rows:
            self._fill(Shelf(row), size)
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA analysis_limit=0; ANALYZE")

    def _fill(self, at: Shelf, size: int) -> None:
        tx, body = self.tx, manifest(LAYER)
        at.land(tx, LAYER)
        at.push(tx, body, *(f"t{number:06}" for number in range(20)))
        image = tx.images.ensure(at.repository.id, IMAGE)
        found = tx.manifests.find(image, [Digest.of(body)])[Digest.of(body)]
        at.land(tx, b"other")
        at.push(tx, manifest(b"other"), "latest")
        other = tx.manifests.find(image, [Digest.of(manifest(b"other"))])[Digest.of(manifest(b"other"))]
        event = tx.events.append(image, Event("push", "ann", {}))
        for number in range(size):
            tx._moment.now += 1
            tx.tags.move(image, Tag(f"t{number:06}"), other if number >= 20 else found, event)
            tx.tags.move(image, Tag("latest"), (found, other)[number % 2], event)
            beside = Shelf(at.repository, ImageName(f"other/i{number:06}"))
            beside.land(tx, LAYER)
            beside.push(tx, body, "1.0")
            blob = at.land(tx, b"%d %d" % (at.repository.id, number))
            tx.reclaims.review([tx.blobs.rows([blob])[blob].id], tx.now + HOUR)
            upload = f"{at.repository.id:016x}{number:016x}"
            tx.uploads.open(UploadRow(upload, at.repository.id, IMAGE, f"a{number}", "sha256", tx.now, None))
        tx.manifests.refer(image, SUBJECT, "text/a", found)

    def steps(self, statement: str, values: Sequence[object]) -> tuple[int, int]:
        """(steps of the virtual machine, rows seen in scans of whole tables) of one run that read all its rows."""
        seen: list[tuple[int, int]] = []

        def profile(event: Any) -> None:
            status = event["stmt_status"]
            seen.append((status["SQLITE_STMTSTATUS_VM_STEP"], status["SQLITE_STMTSTATUS_FULLSCAN_STEP"]))

        self.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)
        assert self.connection.execute(statement, values).fetchall(), "a statement that finds nothing costs nothing"
        self.connection.trace_v2(0, None)
        (only,) = seen
        return only


@pytest.fixture(scope="module")
def stocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocked, Stocked]]:
    folder = tmp_path_factory.mktemp("stocks")
    both = Stocked(folder / "small.db", 40), Stocked(folder / "large.db", 1000)
    yield both
    for one in both:
        one.connection.close()


HOT: dict[str, tuple[str, Callable[[Stocked], Sequence[object]]]] = {
    "tag": (members(lookups.TAG), lambda s: ("latest", *s.group, IMAGE)),
    "manifest": (members(lookups.MANIFEST), lambda s: (Digest.of(manifest(LAYER)).raw, *s.group, IMAGE)),
    "a blob that every image has": (members(lookups.BLOB), lambda s: (Digest.of(LAYER).raw, *s.group, IMAGE)),
    "a page of tags": (lookups.merged(lookups.TAGS, GROUP, 4), lambda s: ("", 10, IMAGE, *s.group)),
    "a page of images": (lookups.merged(lookups.IMAGES, GROUP, 3), lambda s: ("", 10, *s.group)),
    "referrers": (
        lookups.referrers_page(GROUP, typed=True),
        lambda s: (0, 100, IMAGE, SUBJECT.raw, "text/a", *s.group),
    ),
    "tags of a manifest": (tags.OF_MANIFEST, lambda s: (_other_manifest(s), 1)),
    "an open tag": (tags._OPEN, lambda s: (1, "latest")),
    "due reviews": (blobs.DUE, lambda s: (2**62, 10)),
    "what stands in a stage": (board.candidates(4), lambda s: ("dev", IMAGE, 16, *BoardRules().passed_over[:4])),
    "what is newer than that": (board.newer(4), lambda s: ("dev", IMAGE, 0, 10, *BoardRules().passed_over[:4])),
    "images that have tags": (board.IMAGES, lambda s: ("dev", "", 10)),
    "an upload": (uploads.SELECT_UPLOAD, lambda s: (f"{s.group[0]:016x}{7:016x}",)),
}


def _other_manifest(stock: Stocked) -> int:
    found = stock.connection.execute("SELECT manifest_id FROM tags WHERE name='t000000' AND until IS NULL").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_takes_no_more_steps_among_thousands(stocks: tuple[Stocked, Stocked], name: str) -> None:
    statement, values = HOT[name]
    (few, _), (many, scanned) = (stock.steps(statement, values(stock)) for stock in stocks)
    assert scanned == 0
    assert many <= few * 1.3, f"{few} steps among 40, {many} among 1000"
