"""Rules of expiry run without a pause while indexes are pushed, children first: whatever was acknowledged is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.restoring import restore_manifest
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules
from pierhead.domain.patterns import TagPatterns
from pierhead.domain.refusals import ManifestBlobUnknown, ManifestUnknown
from pierhead.jobs.empty_trash import EmptyTrash
from pierhead.jobs.expire import Expiry
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.store import Tx
from pierhead.repositories.pulls import Pulls
from tests.contracts.metadata_undo import undo
from tests.contracts.rows import HandClock, Shelf, index, later, manifest, shelf

HARSH = Rules((Rule(tags=TagPatterns(["keep-*"]), keep=True), Rule(tags=TagPatterns(["*"]), older=1), Rule(untagged=1)))
PUSHERS, ROUNDS = 4, 12


def in_trash(tx: Tx, at: Shelf, digest: Digest) -> bool:
    image = tx.images.find(at.repository.id, at.image)
    assert image is not None
    return digest in tx.trash.find(image, [digest])


async def push_until_taken(store: SqliteStore, at: Shelf, name: str) -> Digest:
    """As a client does: each child in a request of its own, then the index; told that one is missing, once more. Its
    blobs stay: a client's lease keeps them."""
    configs = [f'{{"text": "{name} {number}"}}'.encode() for number in range(3)]
    children = [manifest(config) for config in configs]
    for _ in range(200):
        for config, child in zip(configs, children, strict=True):
            await store.write(later(at.land, config))
            await store.write(later(at.push, child))
            await asyncio.sleep(0)
        try:
            return (await store.write(later(at.push, index(*children), f"keep-{name}"))).digest
        except ManifestBlobUnknown:
            continue
    raise AssertionError("an index was refused two hundred times")


async def test_an_index_that_was_acknowledged_has_its_children_whatever_rules_take_meanwhile(tmp_path: Path) -> None:
    clock = HandClock()
    store = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults())
    await store.write(lambda tx: tx.pulls.begin())
    at = await shelf(store)
    job = Expiry(
        store, clock, "one", {at.repository.name: HARSH}, 50_000, 1, 1, KeepPulls(store, Pulls()), term=0
    )  # keeps what it takes for five rounds
    pushed: dict[str, Digest] = {}
    done = asyncio.Event()

    async def pusher(number: int) -> None:
        for turn in range(ROUNDS):
            name = f"{number}-{turn % 4}"
            pushed[name] = await push_until_taken(store, at, name)

    async def expirer() -> int:
        removed = 0
        while not done.is_set():
            clock.advance(10_000)
            removed += (await job.run(100))[1].removed
            await EmptyTrash(store, clock, "one", 50_000, 1, term=0)()
        return removed

    expiring = asyncio.create_task(expirer())
    await asyncio.gather(*(pusher(number) for number in range(PUSHERS)))
    done.set()
    assert await expiring > 0, "rules that take nothing prove nothing"
    for name, digest in pushed.items():
        for child in (manifest(f'{{"text": "{name} {number}"}}'.encode()) for number in range(3)):
            found = await store.lookups.manifest((at.repository.id,), at.image, Digest.of(child))
            assert found, f"{digest} lacks a child"
    await store.close()


async def test_of_a_removal_and_a_restore_at_once_either_comes_first_and_the_image_is_whole(tmp_path: Path) -> None:
    clock = HandClock()
    store = await SqliteStore.open(tmp_path / "pierhead.db", clock, NoFaults())
    await store.write(lambda tx: tx.pulls.begin())
    at = await shelf(store)
    job = Expiry(store, clock, "one", {at.repository.name: HARSH}, 10**12, 1, 1, KeepPulls(store, Pulls()), term=0)
    for turn in range(20):
        digest = await store.write(later(at.push_image, "same", "moving"))
        clock.advance(1000)
        outcome = await asyncio.gather(
            job.run(10), store.write(later(restore_manifest, undo(at), digest)), return_exceptions=True
        )
        assert not isinstance(outcome[1], Exception) or isinstance(outcome[1], ManifestUnknown), (turn, outcome)
        there = bool(await store.lookups.manifest((at.repository.id,), at.image, digest))
        kept = await store.write(later(in_trash, at, digest))
        assert there is not kept, "in one place and not in two, nor in none"
    await store.close()
