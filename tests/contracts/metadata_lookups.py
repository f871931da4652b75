"""What every metadata store must answer: the pull path's look-ups, reports, and the way out of blobs."""

from __future__ import annotations

import pytest

from pierhead.commits.blob import renew_blob
from pierhead.commits.deletion import delete_blob, delete_manifest
from pierhead.commits.reclaim import review_blobs
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals import BlobNamedByManifest
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobState, Event, ImageId
from tests.contracts.metadata import MetadataFixtures, pointed_at
from tests.contracts.rows import (
    DAY,
    HOUR,
    IMAGE,
    SECOND,
    HandClock,
    Shelf,
    cache_manifest,
    generation,
    later,
    manifest,
    shelf,
)


class LookupsContract(MetadataFixtures):
    async def test_a_group_is_answered_with_at_most_one_hit_a_member(self, store: Store) -> None:
        shelves = [await shelf(store, name) for name in ("prod", "uat", "dev")]
        members = tuple(one.repository.id for one in shelves)
        same = [await store.write(later(one.push_image, "same", "1.0")) for one in shelves[1:]]
        hits = await store.lookups.tag(members, IMAGE, Tag("1.0"))
        assert {hit.repository for hit in hits} == set(members[1:])
        assert len({hit.manifest for hit in hits}) == 1
        by_digest = await store.lookups.manifest(members, IMAGE, same[0])
        assert sorted((hit.repository, hit.manifest) for hit in by_digest) == sorted(
            (hit.repository, hit.manifest) for hit in hits
        )
        assert not await store.lookups.tag(members[:1], IMAGE, Tag("1.0"))
        assert not await store.lookups.tag(members, ImageName("another/image"), Tag("1.0"))

    async def test_a_blob_is_found_only_where_it_was_given(self, store: Store) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        digest = await store.write(lambda tx: dev.land(tx, b"secret"))
        found = await store.lookups.blob((uat.repository.id, dev.repository.id), IMAGE, digest)
        assert found is not None
        assert (found[0], found[1].body, found[1].size) == (dev.repository.id, b"secret", 6)
        assert await store.lookups.blob((uat.repository.id,), IMAGE, digest) is None
        assert await store.lookups.blob((dev.repository.id,), ImageName("another/image"), digest) is None
        known = await store.lookups.known(digest)
        assert known is not None
        assert known.id == found[1].id

    async def test_a_manifest_comes_back_byte_for_byte(self, store: Store) -> None:
        dev = await shelf(store)
        body = b"\n  " + manifest(b"{}").replace(b'"size": 2', b'"size":\t2') + b"\n"
        await store.write(lambda tx: (dev.land(tx, b"{}"), dev.push(tx, body, "odd")))
        hits = await store.lookups.tag((dev.repository.id,), IMAGE, Tag("odd"))
        for _ in range(2):
            assert (await store.lookups.stored(hits[0].manifest)).body == body

    async def test_tags_come_in_pages_even_when_they_begin_with_each_other(self, store: Store) -> None:
        dev = await shelf(store)
        names = ["1", "1.0", "1.0-rc", "1.0.0", "1.00", "10", "1_0", "A", "Z", "_", "a", "a-", "a-b", "a.b", "aa", "z"]
        digest = await store.write(lambda tx: dev.push_image(tx, "x"))
        body = manifest(b'{"text": "x"}')

        def push(tx: Tx) -> None:
            for name in reversed(names):
                assert dev.push(tx, body, name).digest == digest

        await store.write(push)
        for size in (1, 2, 3, 5, 100):
            assert [str(tag) for tag in await pages(store, dev, size)] == sorted(names)

    async def test_ten_thousand_tags_come_whole_in_pages_of_a_thousand(self, store: Store) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        names = [f"build-{number}" for number in range(10_000)]

        def fill(tx: Tx, at: Shelf, tags: list[str]) -> None:
            digest = at.push_image(tx, "x")
            image = tx.images.ensure(at.repository.id, at.image)
            found = tx.manifests.find(image, [digest])[digest]
            event = tx.events.append(image, Event("push", "ann", {}))
            for tag in tags:
                tx.tags.move(image, Tag(tag), found, event)

        await store.write(lambda tx: fill(tx, dev, names[:6_000]))
        await store.write(lambda tx: fill(tx, uat, names[4_000:]))
        members = (dev.repository.id, uat.repository.id)
        listed: list[Tag] = []
        while page := await store.lookups.tags(members, IMAGE, listed[-1] if listed else "", 1000):
            assert len(page) == 1000
            listed += page
        assert listed == sorted(names)

    async def test_an_image_without_tags_is_known_and_another_is_not(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.push_image(tx, "untagged"))
        assert await store.lookups.tags((dev.repository.id,), IMAGE, "", 10) == []
        assert await store.lookups.tags((dev.repository.id,), ImageName("another/image"), "", 10) is None

    async def test_images_are_listed_while_they_hold_something_each_name_once(self, store: Store) -> None:
        shelves = [await shelf(store, name, image=image) for name in ("dev", "uat") for image in ("b/b", "a", "b")]
        for one in shelves:
            await store.write(later(one.push_image, "x", "1"))
        only = await shelf(store, image="c")
        digest = await store.write(lambda tx: only.push_image(tx, "x", "1"))
        members = (shelves[0].repository.id, shelves[-1].repository.id)
        assert await store.lookups.images(members, "", 10) == ["a", "b", "b/b", "c"]
        assert await store.lookups.images(members, "a", 2) == ["b", "b/b"]
        await store.write(lambda tx: delete_manifest(tx, only.deletion(), digest))
        assert await store.lookups.images(members, "", 10) == ["a", "b", "b/b"]

    async def test_referrers_are_listed_by_type_before_and_after_their_subject_comes(self, store: Store) -> None:
        dev = await shelf(store)
        subject = manifest(b'{"text": "subject"}')
        await store.write(lambda tx: dev.land(tx, b"{}"))
        pushed = [
            (await store.write(later(dev.push, manifest(b"{}", subject=subject, artifact_type=kind))))
            for kind in ("text/a", "text/b")
        ]
        assert [one.subject for one in pushed] == [Digest.of(subject)] * 2
        members = (dev.repository.id,)

        async def listed(kind: str | None, after: int = 0, limit: int = 100) -> list[tuple[str, str]]:
            rows = await store.lookups.referrers(members, IMAGE, Digest.of(subject), kind, after, limit)
            return [(row.digest, row.artifact_type) for row in rows]

        both = [(pushed[0].digest, "text/a"), (pushed[1].digest, "text/b")]
        assert await listed(None) == both
        await store.write(lambda tx: dev.push_image(tx, "subject", "1.0"))
        assert await listed(None) == both
        assert await listed("text/b") == both[1:]
        assert await listed("text/c") == []
        assert await listed(None, limit=1) == both[:1]
        [first] = await store.lookups.referrers(members, IMAGE, Digest.of(subject), None, 0, 1)
        assert await listed(None, first.manifest, 1) == both[1:]
        assert await listed("text/a", first.manifest) == []
        await store.write(lambda tx: delete_manifest(tx, dev.deletion(), pushed[0].digest))
        assert await listed(None) == both[1:]

    async def test_what_an_upstream_said_last_is_remembered(self, store: Store) -> None:
        proxy = await shelf(store, "hub")
        ids = await store.write(lambda tx: tx.images.ensure(proxy.repository.id, IMAGE))

        def note(tx: Tx, at: int, body: bytes) -> None:
            tx.cache.note(ids, Tag("3"), Digest.of(body), at)

        for at, body in ((1, b"a"), (2, b"b")):
            await store.write(later(note, at, body))
        entry = await store.lookups.cached(proxy.repository.id, IMAGE, Tag("3"))
        assert entry is not None
        assert (entry.digest, entry.checked) == (Digest.of(b"b"), 2)
        await store.write(lambda tx: tx.cache.forget(ids, Tag("3")))
        assert await store.lookups.cached(proxy.repository.id, IMAGE, Tag("3")) is None

    async def test_totals_and_lists_count_what_is_there(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.push_image(tx, "one", "1.0", "latest"))
        totals = await store.report(lambda reports: reports.totals())
        assert (totals.repositories, totals.images, totals.tags, totals.manifests, totals.blobs) == (1, 1, 2, 1, 1)
        assert totals.blob_bytes == len(b'{"text": "one"}')
        images = await store.report(lambda reports: reports.images(dev.repository.name, "orch", "", 10))
        assert [(row.name, row.tags) for row in images] == [(IMAGE, 2)]
        assert not await store.report(lambda reports: reports.images(dev.repository.name, "x", "", 10))
        tags = await store.report(lambda reports: reports.tags(dev.repository.name, IMAGE, "1.0", 10))
        assert [(row.name, row.by) for row in tags] == [("latest", "ann")]


class WayOutContract(MetadataFixtures):
    """Blob states, without files: what a review may do, and what a look-up may say meanwhile."""

    async def test_a_blob_goes_in_two_steps_and_is_served_until_the_second(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, b"blob"))
        assert await review(store) == (0, 0, 0, [])
        clock.advance(DAY + SECOND)
        assert await review(store) == (0, 1, 0, [])
        assert await served(store, dev, digest)
        assert await review(store) == (0, 0, 0, [])
        clock.advance(HOUR + SECOND)
        assert await review(store) == (0, 0, 0, [digest])
        assert not await served(store, dev, digest)
        assert await store.write(lambda tx: dict(tx.blobs.linked(image_of(tx, dev), [digest]))) == {}

    async def test_a_manifest_keeps_its_blob_and_ends_its_reviews(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.push_image(tx, "kept", "1.0"))
        (blob,) = await store.write(lambda tx: list(tx.blobs.rows([Digest.of(b'{"text": "kept"}')]).values()))
        clock.advance(DAY + SECOND)
        assert await review(store) == (1, 0, 0, [])
        assert await store.lookups.review(blob.id) is None
        clock.advance(30 * DAY)
        assert await review(store) == (0, 0, 0, [])

    async def test_a_lease_renewed_calls_a_condemned_blob_back(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, b"blob"))
        clock.advance(DAY + SECOND)
        await review(store)
        row = await store.lookups.known(digest)
        assert row is not None
        assert row.state is BlobState.CONDEMNED
        await store.write(lambda tx: tx.blobs.lease(image_of(tx, dev), [row.id], tx.now + DAY))
        clock.advance(DAY - SECOND)
        assert await review(store) == (0, 0, 0, [])
        assert await served(store, dev, digest)

    async def test_a_lease_keeps_a_blob_whose_review_comes_before_its_end(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, b"blob"))
        row = await store.lookups.known(digest)
        assert row is not None
        await store.write(lambda tx: tx.reclaims.review([row.id], tx.now))
        assert await review(store) == (1, 0, 0, [])
        due = await store.lookups.review(row.id)
        assert due is not None
        assert DAY - HOUR < due - clock.now() < DAY + HOUR

    async def test_a_condemned_blob_that_a_manifest_names_is_live_after_its_review(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, b"blob"))
        clock.advance(DAY + SECOND)
        await review(store)
        await store.write(lambda tx: dev.push(tx, manifest(b"blob"), "1.0"))
        clock.advance(HOUR + SECOND)
        assert await review(store) == (1, 0, 0, [])
        row = await store.lookups.known(digest)
        assert row is not None
        assert row.state is BlobState.LIVE
        assert await store.lookups.review(row.id) is None

    async def test_new_bytes_of_a_blob_that_is_being_deleted_outlive_the_old_ones(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, b"blob", 1, inline=False))
        clock.advance(DAY + SECOND)
        await review(store)
        clock.advance(HOUR + SECOND)
        (leaving,) = (await store.write(lambda tx: review_blobs(tx, HOUR, 10))).leaving
        await store.write(lambda tx: dev.land(tx, b"blob", 2, inline=False))
        await store.write(lambda tx: tx.reclaims.forget(leaving.id, leaving.generation))
        assert await served(store, dev, digest)
        row = await store.lookups.known(digest)
        assert row is not None
        assert (row.state, row.generation) == (BlobState.LIVE, generation(2))

    async def test_a_blob_that_never_had_bytes_is_never_served_and_goes_at_once(
        self, store: Store, clock: HandClock
    ) -> None:
        proxy = await shelf(store, "hub")
        layer = Digest.of(b"layer")
        await store.write(lambda tx: cache_manifest(tx, proxy, b"layer"))
        await store.write(
            lambda tx: tx.blobs.link(image_of(tx, proxy), [row.id for row in tx.blobs.rows([layer]).values()])
        )
        assert not await served(store, proxy, layer)
        await store.write(lambda tx: delete_manifest(tx, proxy.deletion(), Digest.of(manifest(b"layer"))))
        clock.advance(DAY + SECOND)
        assert await review(store) == (0, 0, 1, [])
        assert await store.lookups.known(layer) is None

    async def test_a_blob_that_a_cached_manifest_names_while_it_is_deleted_becomes_absent(
        self, store: Store, clock: HandClock
    ) -> None:
        proxy = await shelf(store, "hub")
        layer = await store.write(lambda tx: proxy.land(tx, b"layer"))
        clock.advance(DAY + SECOND)
        await review(store)
        clock.advance(HOUR + SECOND)
        (leaving,) = (await store.write(lambda tx: review_blobs(tx, HOUR, 10))).leaving
        await store.write(lambda tx: cache_manifest(tx, proxy, b"layer"))
        await store.write(lambda tx: tx.reclaims.forget(leaving.id, leaving.generation))
        row = await store.lookups.known(layer)
        assert row is not None
        assert (row.state, row.generation, row.size) == (BlobState.ABSENT, "", 5)
        assert not await served(store, proxy, layer)
        await store.write(lambda tx: proxy.land(tx, b"layer", 2))
        assert await served(store, proxy, layer)

    async def test_a_blob_that_a_manifest_names_cannot_be_deleted_from_its_image(self, store: Store) -> None:
        dev = await shelf(store)
        digest = await store.write(lambda tx: dev.push_image(tx, "x", "1.0"))
        with pytest.raises(BlobNamedByManifest):
            await store.write(lambda tx: delete_blob(tx, dev.deletion(), Digest.of(b'{"text": "x"}')))
        assert await pointed_at(store, dev, "1.0") == digest

    async def test_a_deleted_blob_stays_for_the_other_images_that_have_it(self, store: Store, clock: HandClock) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        digest = await store.write(lambda tx: (dev.land(tx, b"blob"), uat.land(tx, b"blob"))[0])
        await store.write(lambda tx: delete_blob(tx, dev.deletion(), digest))
        assert not await served(store, dev, digest)
        for _ in range(3):
            await store.write(lambda tx: renew_blob(tx, uat.repository.id, uat.image, digest, DAY))
            clock.advance(DAY - SECOND)
            await review(store)
            assert await served(store, uat, digest)

    async def test_the_preview_tells_what_goes_and_what_leases_keep(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.push_image(tx, "kept", "1.0"))
        await store.write(lambda tx: dev.land(tx, b"12345"))
        await store.write(lambda tx: (dev.land(tx, b"1234567"), dev.land(tx, b"123456789")))
        await store.write(lambda tx: delete_blob(tx, dev.deletion(), Digest.of(b"1234567")))
        await store.write(lambda tx: delete_blob(tx, dev.deletion(), Digest.of(b"123456789")))
        now = clock.now() + 1000
        found = await store.report(lambda reports: reports.reclaimable(now, 1))
        assert (found.blobs, found.size, found.condemned, found.leased, found.leased_size) == (2, 16, 0, 1, 5)
        assert found.leased_until is not None
        assert abs(found.leased_until - (clock.now() + DAY)) < HOUR
        assert [(one.size, one.state) for one in found.sample] == [(9, BlobState.LIVE)]
        clock.advance(DAY + SECOND)
        await review(store)
        found = await store.report(lambda reports: reports.reclaimable(clock.now(), 10))
        assert (found.blobs, found.condemned, found.condemned_size, found.leased) == (3, 3, 21, 0)
        nothing = await store.report(lambda reports: reports.reclaimable(now, 0))
        assert nothing.sample == ()


def image_of(tx: Tx, at: Shelf) -> ImageId:
    return tx.images.ensure(at.repository.id, at.image)


async def review(store: Store) -> tuple[int, int, int, list[Digest]]:
    """(wanted, condemned, forgotten, digests that are being deleted) of one review."""
    done = await store.write(lambda tx: review_blobs(tx, HOUR, 100))
    return done.wanted, done.condemned, done.forgotten, [row.digest for row in done.leaving]


async def served(store: Store, at: Shelf, digest: Digest) -> bool:
    return await store.lookups.blob((at.repository.id,), at.image, digest) is not None


async def pages(store: Store, at: Shelf, size: int) -> list[Tag]:
    """All tags of the image, ``size`` at a time."""
    listed: list[Tag] = []
    while page := await store.lookups.tags((at.repository.id,), at.image, listed[-1] if listed else "", size):
        assert len(page) <= size
        listed += page
    return listed
