"""The contract of undo: tags go back, what was deleted comes back as it was, and what is kept no longer goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pierhead.commits.deletion import Deletion, delete_manifest, delete_tag
from pierhead.commits.restoring import Undo, Undone, purge_manifest, restore_manifest, restore_tag, roll_back
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import ManifestUnknown, RepositoryReadOnly
from pierhead.domain.refusals_tags import NotKept, TagMoved, TagNeverThere, TagStands, TagWrittenOnce
from pierhead.jobs.empty_trash import EmptyTrash
from pierhead.jobs.loop import Worked
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.trash import Deleted
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.rows import DAY, HandClock, Shelf, index, later, manifest, shelf

LATEST = Tag("latest")
KEEP = 14 * DAY


def undo(at: Shelf) -> Undo:
    return Undo(at.repository.id, at.repository.name, at.image, "ben", DAY)


def deletion(at: Shelf) -> Deletion:
    return Deletion(at.repository.id, at.repository.name, at.image, "ann", DAY, {}, KEEP)


async def points_at(store: Store, at: Shelf, tag: str = "latest") -> Digest | None:
    hits = await store.lookups.tag((at.repository.id,), at.image, Tag(tag))
    return None if not hits else (await store.lookups.stored(hits[0].manifest)).digest


async def has(store: Store, at: Shelf, digest: Digest) -> bool:
    return bool(await store.lookups.manifest((at.repository.id,), at.image, digest))


async def listed(store: Store, at: Shelf, since: int = 0) -> list[Deleted]:
    return list(await store.report(lambda r: r.deleted(at.repository.name, at.image, since, None, 100)))


async def pushed(store: Store, at: Shelf, *texts: str, tag: str = "latest") -> list[Digest]:
    return [await store.write(later(at.push_image, text, tag)) for text in texts]


class UndoContract(MetadataFixtures):
    async def test_a_tag_goes_back_to_what_it_stood_for_and_the_record_tells(self, store: Store) -> None:
        dev = await shelf(store)
        first, second = await pushed(store, dev, "first", "second")
        done = await store.write(lambda tx: roll_back(tx, undo(dev), LATEST, first, second))
        assert done == Undone(first, (LATEST,), second, changed=True)
        assert await points_at(store, dev) == first
        past = await store.report(lambda r: r.history(dev.repository.name, dev.image, LATEST, 10))
        assert [(one.digest, one.began, one.by, one.ended_by) for one in past] == [
            (first, "rollback", "ben", ""),
            (second, "push", "ann", "ben"),
            (first, "push", "ann", "ann"),
        ]

    async def test_a_tag_that_moved_since_it_was_seen_stays_where_it_is(self, store: Store) -> None:
        dev = await shelf(store)
        first, second, third = await pushed(store, dev, "first", "second", "third")
        with pytest.raises(TagMoved):
            await store.write(lambda tx: roll_back(tx, undo(dev), LATEST, first, second))
        assert await points_at(store, dev) == third
        with pytest.raises(TagNeverThere):
            await store.write(later(roll_back, undo(dev), LATEST, Digest.of(b"never"), third))

    async def test_of_two_who_put_a_tag_back_at_once_one_is_told(self, store: Store) -> None:
        dev = await shelf(store)
        first, second, third = await pushed(store, dev, "first", "second", "third")
        done = await asyncio.gather(
            *(store.write(later(roll_back, undo(dev), LATEST, to, third)) for to in (first, second)),
            return_exceptions=True,
        )
        assert [type(one) for one in done] == [Undone, TagMoved]
        assert await points_at(store, dev) == first

    async def test_a_tag_that_is_written_once_is_never_put_back(self, store: Store) -> None:
        dev = await shelf(store, "uat")
        first, second = await pushed(store, dev, "first", "second")
        once = await shelf(store, "uat", WritePolicy.ALLOW_ONCE)
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: roll_back(tx, undo(once), LATEST, first, second))
        closed = await shelf(store, "uat", WritePolicy.DENY)
        for attempt in (
            later(roll_back, undo(closed), LATEST, first, second),
            later(restore_tag, undo(closed), LATEST, None),
            later(restore_manifest, undo(closed), first),
        ):
            with pytest.raises(RepositoryReadOnly):
                await store.write(attempt)
        assert await points_at(store, dev) == second

    async def test_a_deleted_tag_comes_back_where_it_was_or_at_an_earlier_one(self, store: Store) -> None:
        dev = await shelf(store)
        first, second = await pushed(store, dev, "first", "second")
        with pytest.raises(TagStands):
            await store.write(lambda tx: restore_tag(tx, undo(dev), LATEST, None))
        for asked, back in ((None, second), (first, first)):
            await store.write(lambda tx: delete_tag(tx, deletion(dev), LATEST))
            assert await points_at(store, dev) is None
            await store.write(later(restore_tag, undo(dev), LATEST, asked))
            assert await points_at(store, dev) == back
        with pytest.raises(ManifestUnknown):
            await store.write(lambda tx: restore_tag(tx, undo(dev), Tag("never"), None))

    async def test_a_spent_tag_comes_back_with_its_own_bytes_and_no_others(self, store: Store) -> None:
        moving = await shelf(store, "uat")
        first, second = await pushed(store, moving, "first", "second", tag="1.0")
        once = await shelf(store, "uat", WritePolicy.ALLOW_ONCE)
        await store.write(lambda tx: delete_tag(tx, deletion(once), Tag("1.0")))
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: restore_tag(tx, undo(once), Tag("1.0"), first))
        await store.write(lambda tx: restore_tag(tx, undo(once), Tag("1.0"), None))
        assert await points_at(store, once, "1.0") == second

    async def test_a_deleted_image_is_found_by_nobody_and_comes_back_with_its_tags(self, store: Store) -> None:
        dev = await shelf(store)
        first, second = await pushed(store, dev, "first", "second")
        await store.write(lambda tx: dev.push_image(tx, "second", "other"))
        await store.write(lambda tx: delete_manifest(tx, deletion(dev), second))
        assert not await has(store, dev, second)
        assert {(one.tag, one.digest, one.kind, one.account) for one in await listed(store, dev)} == {
            ("latest", second, "delete manifest", "ann"),
            ("other", second, "delete manifest", "ann"),
            ("latest", first, "push", "ann"),
        }
        await store.write(lambda tx: dev.push_image(tx, "third", "other"))  # taken meanwhile, and stays
        done = await store.write(lambda tx: restore_manifest(tx, undo(dev), second))
        assert done.tags == (LATEST,)
        assert await points_at(store, dev) == second
        assert await points_at(store, dev, "other") != second
        with pytest.raises(ManifestUnknown):
            await store.write(lambda tx: restore_manifest(tx, undo(dev), Digest.of(b"never")))

    async def test_a_tag_whose_image_was_deleted_brings_the_image_back(self, store: Store) -> None:
        dev = await shelf(store)
        first, second = await pushed(store, dev, "first", "second")
        await store.write(lambda tx: delete_manifest(tx, deletion(dev), first))
        await store.write(lambda tx: roll_back(tx, undo(dev), LATEST, first, second))
        assert await points_at(store, dev) == first
        assert (await listed(store, dev))[0].now == first

    async def test_an_index_comes_back_with_what_it_names_and_a_referrer_is_listed_again(self, store: Store) -> None:
        dev = await shelf(store)
        child = manifest(b"child")
        signature = manifest(b"signature", subject=child)

        def push(tx: Tx) -> Digest:
            dev.land(tx, b"child")
            dev.land(tx, b"signature")
            dev.push(tx, child)
            dev.push(tx, signature)
            return dev.push(tx, index(child), "latest").digest

        whole = await store.write(push)
        for digest in (whole, Digest.of(signature), Digest.of(child)):
            await store.write(later(delete_manifest, deletion(dev), digest))
        await store.write(lambda tx: restore_manifest(tx, undo(dev), whole))
        assert await points_at(store, dev) == whole
        assert await has(store, dev, Digest.of(child)), "an index without its manifests is none"
        await store.write(lambda tx: restore_manifest(tx, undo(dev), Digest.of(signature)))
        found = await store.lookups.referrers((dev.repository.id,), dev.image, Digest.of(child), None, 0, 10)
        assert [row.digest for row in found] == [Digest.of(signature)]

    async def test_what_is_in_the_trash_keeps_its_blobs_until_its_time_is_over(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        (first,) = await pushed(store, dev, "first")
        blob = Digest.of(b'{"text": "first"}')
        await store.write(lambda tx: delete_manifest(tx, deletion(dev), first))
        trash = EmptyTrash(store, clock, "one", KEEP, DAY, term=0)
        clock.advance(KEEP - DAY)
        assert not isinstance(await trash(), Worked)
        assert await store.write(lambda tx: tx.reclaims.wanted(tx.blobs.rows([blob])[blob].id)) == 0, "wanted"
        clock.advance(2 * DAY)
        assert isinstance(await trash(), Worked)
        assert await store.write(lambda tx: tx.reclaims.wanted(tx.blobs.rows([blob])[blob].id)) is None
        assert await listed(store, dev) == []
        with pytest.raises(NotKept):
            await store.write(lambda tx: restore_tag(tx, undo(dev), LATEST, None))

    async def test_what_is_purged_is_gone_and_what_was_pushed_again_meanwhile_stays(self, store: Store) -> None:
        dev = await shelf(store)
        first, second = await pushed(store, dev, "first", "second")
        for digest in (first, second):
            await store.write(later(delete_manifest, deletion(dev), digest))
        await pushed(store, dev, "second")
        for digest in (first, second):
            await store.write(later(purge_manifest, undo(dev), digest))
        assert await points_at(store, dev) == second
        with pytest.raises(ManifestUnknown):
            await store.write(lambda tx: restore_manifest(tx, undo(dev), first))

    async def test_what_was_deleted_is_listed_in_pages_the_latest_first(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        for number in range(5):
            await pushed(store, dev, str(number), tag=f"t{number}")
            clock.advance(DAY)
            await store.write(later(delete_tag, deletion(dev), Tag(f"t{number}")))
        seen: list[str | None] = []
        behind: tuple[int, str, str] | None = None
        while page := await self._page(store, dev, behind):
            seen += [one.tag for one in page]
            behind = (page[-1].at, str(page[-1].image), page[-1].tag or "")
        assert seen == ["t4", "t3", "t2", "t1", "t0"]
        assert len(await listed(store, dev, clock.now() - 2 * DAY - 1)) == 3

    async def _page(self, store: Store, at: Shelf, behind: tuple[int, str, str] | None) -> Sequence[Deleted]:
        return await store.report(lambda reports: reports.deleted(at.repository.name, None, 0, behind, 2))
