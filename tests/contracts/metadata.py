"""What every metadata store must do in transactions. An adapter derives the classes and overrides the fixtures."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from pierhead.commits.deletion import delete_manifest, delete_tag
from pierhead.commits.manifest import ManifestAccepted
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import (
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestNeeded,
    ManifestUnknown,
    RepositoryReadOnly,
)
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobId, BlobState, Event, UploadRow
from tests.contracts.rows import HOUR, SECOND, HandClock, Shelf, index, later, manifest, shelf

CheckChain = Callable[[], Awaitable[int]]


class MetadataFixtures:
    """``store`` is open and empty; ``check_chain`` verifies the record of events and returns how many there are."""

    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    async def store(self, clock: HandClock) -> Store:
        raise AssertionError("an adapter's test overrides this")

    @pytest.fixture
    def check_chain(self) -> CheckChain:
        raise AssertionError("an adapter's test overrides this")


class TagsContract(MetadataFixtures):
    async def test_of_64_claims_of_one_tag_at_once_exactly_one_wins(
        self, store: Store, check_chain: CheckChain
    ) -> None:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)

        async def claim(number: int, tag: str) -> str | None:
            try:
                return await store.write(lambda tx: once.push_image(tx, str(number), tag, account=f"a{number}"))
            except TagWrittenOnce:
                return None

        for number in range(5):
            tag = f"1.{number}"
            answers = await asyncio.gather(*(claim(claimer, tag) for claimer in range(64)))
            (winner,) = {answer for answer in answers if answer is not None}
            assert answers.count(winner) == 1
            assert await pointed_at(store, once, tag) == winner
        assert await check_chain() == 5

    async def test_a_spent_tag_refuses_other_bytes_and_takes_its_own_again(self, store: Store) -> None:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        first = await store.write(lambda tx: once.push_image(tx, "first", "1.0", account="bo"))
        await store.write(lambda tx: delete_tag(tx, once.deletion(), Tag("1.0")))
        assert await pointed_at(store, once, "1.0") is None
        with pytest.raises(TagWrittenOnce) as refused:
            await store.write(lambda tx: once.push_image(tx, "second", "1.0"))
        assert first in str(refused.value)
        assert "bo" in str(refused.value)
        await store.write(lambda tx: once.push_image(tx, "first", "1.0"))
        assert await pointed_at(store, once, "1.0") == first
        await store.write(lambda tx: delete_tag(tx, once.deletion(), Tag("1.0")))
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: once.push_image(tx, "third", "1.0"))

    async def test_a_tag_that_stood_when_the_policy_became_write_once_is_spent_when_it_is_deleted(
        self, store: Store
    ) -> None:
        moving = await shelf(store, "prod", WritePolicy.ALLOW)
        first = await store.write(lambda tx: moving.push_image(tx, "first", "1.0"))
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        with pytest.raises(ManifestNeeded):
            await store.write(lambda tx: delete_manifest(tx, once.deletion(), first))
        await store.write(lambda tx: delete_tag(tx, once.deletion(), Tag("1.0")))
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: once.push_image(tx, "second", "1.0"))
        await store.write(lambda tx: once.push_image(tx, "first", "1.0"))
        assert await pointed_at(store, once, "1.0") == first

    async def test_a_tag_that_was_deleted_before_the_policy_became_write_once_is_free(self, store: Store) -> None:
        moving = await shelf(store, "prod", WritePolicy.ALLOW)
        await store.write(lambda tx: moving.push_image(tx, "first", "1.0"))
        await store.write(lambda tx: delete_tag(tx, moving.deletion(), Tag("1.0")))
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        second = await store.write(lambda tx: once.push_image(tx, "second", "1.0"))
        assert await pointed_at(store, once, "1.0") == second

    async def test_a_moved_tag_keeps_the_interval_before(self, store: Store, clock: HandClock) -> None:
        moving = await shelf(store)
        digests = []
        for number in range(3):
            digests.append(await store.write(later(moving.push_image, str(number), "latest")))
            clock.advance(HOUR)
        history = await store.report(
            lambda reports: reports.history(moving.repository.name, moving.image, Tag("latest"), 10)
        )
        assert [interval.digest for interval in history] == list(reversed(digests))
        assert history[0].until is None
        assert [newer.since == older.until for newer, older in itertools.pairwise(history)] == [True, True]

    async def test_several_tags_of_one_push_are_written_together_or_not_at_all(
        self, store: Store, check_chain: CheckChain
    ) -> None:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        await store.write(lambda tx: once.push_image(tx, "first", "1.0"))
        with pytest.raises(TagWrittenOnce):
            await store.write(lambda tx: once.push_image(tx, "second", "1.1", "1.0", "1.2"))
        assert [await pointed_at(store, once, tag) for tag in ("1.1", "1.2")] == [None, None]
        second = Digest.of(manifest(b'{"text": "second"}'))
        assert not await store.lookups.manifest((once.repository.id,), once.image, second)
        third = await store.write(lambda tx: once.push_image(tx, "third", "1.1", "1.2"))
        assert [await pointed_at(store, once, tag) for tag in ("1.1", "1.2")] == [third, third]
        assert await check_chain() == 2

    async def test_tags_that_clients_keep_referrers_under_move_under_write_once_too(self, store: Store) -> None:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        fallback = "sha256-" + "a" * 64
        await store.write(lambda tx: once.push_image(tx, "first", fallback))
        second = await store.write(lambda tx: once.push_image(tx, "second", fallback))
        assert await pointed_at(store, once, fallback) == second

    async def test_the_same_push_again_changes_nothing(self, store: Store, check_chain: CheckChain) -> None:
        once = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        await store.write(lambda tx: once.push_image(tx, "first", "1.0"))
        again = await store.write(lambda tx: once.push(tx, manifest(b'{"text": "first"}'), "1.0"))
        assert again == ManifestAccepted(again.digest, None, (Tag("1.0"),), changed=False)
        assert await check_chain() == 1

    async def test_a_repository_that_denies_takes_neither_pushes_nor_deletions(self, store: Store) -> None:
        moving = await shelf(store)
        await store.write(lambda tx: moving.push_image(tx, "first", "1.0"))
        denied = await shelf(store, "dev", WritePolicy.DENY)
        with pytest.raises(RepositoryReadOnly):
            await store.write(lambda tx: denied.push_image(tx, "second", "1.1"))
        with pytest.raises(RepositoryReadOnly):
            await store.write(lambda tx: delete_tag(tx, denied.deletion(), Tag("1.0")))


class ManifestsContract(MetadataFixtures):
    async def test_a_manifest_that_names_missing_blobs_is_refused_with_each_of_them(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.land(tx, b"here"))
        with pytest.raises(ManifestBlobUnknown) as refused:
            await store.write(lambda tx: dev.push(tx, manifest(b"here", b"one", b"two"), "1.0"))
        for missing in (b"one", b"two"):
            assert Digest.of(missing) in str(refused.value.detail)
        assert Digest.of(b"here") not in str(refused.value.detail)

    async def test_a_blob_of_another_image_does_not_count_as_here(self, store: Store) -> None:
        dev, other = await shelf(store), await shelf(store, image="another/image")
        await store.write(lambda tx: other.land(tx, b"config"))
        with pytest.raises(ManifestBlobUnknown):
            await store.write(lambda tx: dev.push(tx, manifest(b"config"), "1.0"))

    async def test_a_size_that_differs_from_the_stored_one_is_refused(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(lambda tx: dev.land(tx, b"config"))
        wrong = manifest(b"config").replace(b'"size": 6', b'"size": 7')
        with pytest.raises(ManifestInvalid):
            await store.write(lambda tx: dev.push(tx, wrong, "1.0"))

    async def test_an_index_needs_its_manifests_and_keeps_them(self, store: Store) -> None:
        dev = await shelf(store)
        child = manifest(b'{"text": "child"}')
        with pytest.raises(ManifestBlobUnknown):
            await store.write(lambda tx: dev.push(tx, index(child), "1.0"))
        await store.write(lambda tx: dev.push_image(tx, "child"))
        pushed = await store.write(lambda tx: dev.push(tx, index(child), "1.0"))
        with pytest.raises(ManifestNeeded):
            await store.write(lambda tx: delete_manifest(tx, dev.deletion(), Digest.of(child)))
        await store.write(lambda tx: delete_manifest(tx, dev.deletion(), pushed.digest))
        assert await pointed_at(store, dev, "1.0") is None
        await store.write(lambda tx: delete_manifest(tx, dev.deletion(), Digest.of(child)))
        with pytest.raises(ManifestUnknown):
            await store.write(lambda tx: delete_manifest(tx, dev.deletion(), Digest.of(child)))

    async def test_a_manifest_lives_as_long_as_one_image_holds_it(self, store: Store) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        digest = await store.write(lambda tx: dev.push_image(tx, "same", "1.0"))
        await store.write(lambda tx: uat.push_image(tx, "same", "1.0"))
        await store.write(lambda tx: delete_manifest(tx, dev.deletion(), digest))
        assert await pointed_at(store, uat, "1.0") == digest
        assert await pointed_at(store, dev, "1.0") is None
        assert not await store.lookups.manifest((dev.repository.id,), dev.image, digest)

    async def test_ids_are_never_used_again(self, store: Store) -> None:
        dev = await shelf(store)

        def ids(tx: Tx, text: str) -> tuple[int, int]:
            digest = dev.push_image(tx, text, "1.0")
            image = tx.images.ensure(dev.repository.id, dev.image)
            found = tx.manifests.find(image, [digest])[digest]
            return found, tx.manifests.blobs(found)[0]

        def out(tx: Tx, digest: Digest) -> None:
            delete_manifest(tx, dev.deletion(), digest)
            (row,) = tx.blobs.rows([Digest.of(b'{"text": "a"}')]).values()
            for state in (BlobState.CONDEMNED, BlobState.DELETING):
                (row,) = tx.blobs.rows([row.digest]).values()
                tx.reclaims.mark(row, state)
            tx.reclaims.forget(row.id, row.generation)
            assert not tx.blobs.rows([row.digest])

        before = await store.write(lambda tx: ids(tx, "a"))
        await store.write(lambda tx: out(tx, Digest.of(manifest(b'{"text": "a"}'))))
        after = await store.write(lambda tx: ids(tx, "a"))
        assert after[0] > before[0]
        assert after[1] > before[1]


class WritesContract(MetadataFixtures):
    async def test_operations_that_refuse_undo_themselves_and_no_other(
        self, store: Store, check_chain: CheckChain
    ) -> None:
        dev = await shelf(store)

        def operation(tx: Tx, number: int) -> str:
            digest = dev.push_image(tx, str(number), f"t{number}")
            if number % 2:
                raise ValueError(str(number))
            return digest

        for _ in range(3):
            answers = await asyncio.gather(
                *(store.write(later(operation, number)) for number in range(100)), return_exceptions=True
            )
            assert [str(answer) for answer in answers[1::2]] == [str(number) for number in range(1, 100, 2)]
            assert [await pointed_at(store, dev, f"t{number}") for number in range(0, 100, 2)] == answers[0::2]
        assert await store.lookups.tags((dev.repository.id,), dev.image, "", 1000) == sorted(
            f"t{number}" for number in range(0, 100, 2)
        )
        assert await check_chain() == 50

    async def test_a_broken_rule_of_the_database_undoes_its_operation_alone(self, store: Store) -> None:
        dev = await shelf(store)

        def broken(tx: Tx) -> None:
            tx.images.ensure(dev.repository.id, ImageName("left/over"))
            tx.images.ensure(type(dev.repository.id)(999_999), ImageName("no/repository"))

        first, failed, second = await asyncio.gather(
            store.write(lambda tx: dev.push_image(tx, "a", "a")),
            store.write(broken),
            store.write(lambda tx: dev.push_image(tx, "b", "b")),
            return_exceptions=True,
        )
        assert isinstance(failed, Exception)
        assert await pointed_at(store, dev, "a") == first
        assert await pointed_at(store, dev, "b") == second
        assert await store.write(lambda tx: tx.images.find(dev.repository.id, ImageName("left/over"))) is None
        assert store.health() is None

    async def test_time_never_goes_back_even_when_the_clock_does(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)

        def move(tx: Tx, number: int) -> int:
            dev.push_image(tx, str(number), "latest")
            return tx.now

        before = await store.write(lambda tx: move(tx, 0))
        clock.advance(-HOUR)
        moments = [await store.write(later(move, number)) for number in range(1, 4)]
        assert sorted({before, *moments}) == [before, *moments]

    async def test_what_may_be_lost_is_seen_at_once_all_the_same(self, store: Store) -> None:
        dev = await shelf(store)
        row = UploadRow("0" * 32, dev.repository.id, dev.image, "ann", "sha256", 1, None)
        await store.write(lambda tx: tx.uploads.open(row), durable=False)
        assert await store.lookups.upload(row.id) == row

    async def test_a_job_is_taken_by_one_holder_until_its_time_is_over(self, store: Store, clock: HandClock) -> None:
        def take(tx: Tx, holder: str) -> bool:
            return tx.jobs.take("reclaim", holder, tx.now + 10 * SECOND)

        assert await store.write(lambda tx: take(tx, "a"))
        assert not await store.write(lambda tx: take(tx, "b"))
        clock.advance(9 * SECOND)
        assert await store.write(lambda tx: take(tx, "a"))
        clock.advance(9 * SECOND)
        assert not await store.write(lambda tx: take(tx, "b"))
        clock.advance(2 * SECOND)
        assert await store.write(lambda tx: take(tx, "b"))
        assert not await store.write(lambda tx: take(tx, "a"))

    async def test_upload_sessions_are_counted_ended_once_and_found_when_idle(self, store: Store) -> None:
        dev = await shelf(store)
        ids = [f"{number:032x}" for number in range(4)]

        def begin(tx: Tx) -> None:
            for number, upload in enumerate(ids):
                tx.uploads.open(UploadRow(upload, dev.repository.id, dev.image, "ann", "sha256", number, None))

        await store.write(begin)
        digest = Digest.of(b"landed")
        assert await store.write(lambda tx: [tx.uploads.end(ids[0], digest), tx.uploads.end(ids[0], digest)]) == [
            True,
            False,
        ]
        assert await store.write(lambda tx: [tx.uploads.end(ids[1], None), tx.uploads.end(ids[1], None)]) == [
            True,
            False,
        ]
        assert await store.write(lambda tx: tx.uploads.count("ann")) == 2
        assert await store.write(lambda tx: tx.uploads.idle(3, 10)) == [ids[0], ids[2]]
        await store.write(lambda tx: tx.uploads.prolong({ids[2]: 50}))
        assert await store.write(lambda tx: tx.uploads.idle(3, 10)) == [ids[0]]
        await store.write(lambda tx: tx.uploads.forget(ids))
        assert await store.write(lambda tx: tx.uploads.idle(100, 10)) == []

    async def test_an_event_may_belong_to_no_image(self, store: Store, check_chain: CheckChain) -> None:
        await store.write(lambda tx: tx.events.append(None, Event("start", "system", {"version": "1", "none": None})))
        assert await check_chain() == 1

    async def test_a_blob_whose_bytes_are_lost_is_found_by_no_look_up_until_it_lands_again(self, store: Store) -> None:
        dev = await shelf(store, "dev")
        await store.write(lambda tx: [dev.land(tx, body, number) for number, body in enumerate((b"one", b"two"))])
        kept = await store.report(lambda reports: reports.kept_blobs(BlobId(0), 100))
        assert len(kept) == 2
        assert [row.id for row, _ in kept] == sorted(row.id for row, _ in kept)
        row, verified = kept[0]
        assert (await store.report(lambda reports: reports.holders(row.id, 10))) == [(dev.repository.name, dev.image)]
        await store.write(lambda tx: tx.blobs.verify([row]))
        (again,) = await store.report(lambda reports: reports.kept_blobs(BlobId(0), 1))
        assert (again[0], again[1] > verified) == (row, True)
        assert await store.write(lambda tx: tx.blobs.lose(row))
        assert not await store.write(lambda tx: tx.blobs.lose(row)), "a blob is lost once"
        assert await store.lookups.blob((dev.repository.id,), dev.image, row.digest) is None
        left = await store.report(lambda reports: reports.kept_blobs(BlobId(0), 100))
        assert [one.id for one, _ in left] == [kept[1][0].id]
        await store.write(lambda tx: tx.blobs.verify([row]))
        await store.write(lambda tx: tx.blobs.land(row.digest, row.size, "f" * 16, None))
        assert await store.lookups.blob((dev.repository.id,), dev.image, row.digest) is not None
        assert not await store.write(lambda tx: tx.blobs.lose(row)), "these are other bytes"

    async def test_a_repository_keeps_its_id_when_its_policy_changes(self, store: Store) -> None:
        first = await shelf(store, "prod", WritePolicy.ALLOW)
        second = await shelf(store, "prod", WritePolicy.ALLOW_ONCE)
        assert first.repository.id == second.repository.id
        rows = await store.write(lambda tx: tx.repositories.all())
        assert [(row.name, row.write_policy) for row in rows] == [(RepositoryName("prod"), WritePolicy.ALLOW_ONCE)]


async def pointed_at(store: Store, at: Shelf, tag: str) -> Digest | None:
    """The digest that a tag of the image points at, read back with its bytes compared."""
    hits = await store.lookups.tag((at.repository.id,), at.image, Tag(tag))
    if not hits:
        return None
    stored = await store.lookups.stored(hits[0].manifest)
    assert Digest.of(stored.body, stored.digest.algorithm) == stored.digest
    return stored.digest
