"""What a pull asks the database: one statement when nothing is remembered, and what is remembered stays small."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.values import ManifestId, StoredManifest
from tests.contracts.rows import IMAGE, HandClock, shelf


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "test.db", HandClock(), NoFaults())
    yield opened
    await opened.close()


@contextmanager
def statements(store: SqliteStore) -> Iterator[list[str]]:
    """Those that look-ups run."""
    seen: list[str] = []

    def note(cursor: object, statement: str, bindings: object) -> bool:
        seen.append(statement)
        return True

    store._reading.exec_trace = note
    yield seen
    store._reading.exec_trace = None


async def test_a_manifest_that_nobody_asked_for_yet_is_one_statement_and_then_none(store: SqliteStore) -> None:
    dev = await shelf(store)
    digest = await store.write(lambda tx: dev.push_image(tx, "one", "1.0"))
    members = (dev.repository.id,)
    with statements(store) as seen:
        for _ in range(3):
            (hit,) = await store.lookups.tag(members, IMAGE, Tag("1.0"))
            assert (await store.lookups.stored(hit.manifest)).digest == digest
        assert len(seen) == 1
        for _ in range(3):
            (hit,) = await store.lookups.manifest(members, IMAGE, digest)
        assert len(seen) == 2
    await store.write(lambda tx: dev.push_image(tx, "another", "2.0"))
    with statements(store) as seen:
        assert await store.lookups.tag(members, IMAGE, Tag("1.0"))
        assert await store.lookups.manifest(members, IMAGE, digest)
        assert len(seen) == 2, "a commit must be looked behind"


async def test_small_manifests_are_counted_with_what_they_cost_besides(store: SqliteStore) -> None:
    lookups = store.lookups
    digest = Digest.of(b"x")
    for number in range(40_000):
        lookups._keep(StoredManifest(ManifestId(number), digest, "text/a", "", b"x", None))
    assert len(lookups._bodies) < limits.BODY_CACHE_BYTES_MAX / 500
    assert ManifestId(39_999) in lookups._bodies
    assert lookups._body_bytes <= limits.BODY_CACHE_BYTES_MAX
