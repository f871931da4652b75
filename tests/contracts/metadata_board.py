"""What every metadata store must answer to the board."""

from __future__ import annotations

import pytest

from pierhead.domain.board import BoardRules
from pierhead.domain.build_cache import by_name
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import OCI_MANIFEST
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.provenance import Seen
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.rows import DAY, IMAGE, SECOND, HandClock, index, later, manifest, shelf

RULES = BoardRules()
JOB = {"how": "id_token", "job": "https://gitlab.example/a/b/-/jobs/7", "commit": "c" * 40, "ref": "main"}
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


class BoardContract(MetadataFixtures):
    async def test_candidates_come_newest_first_and_without_what_stands_nowhere(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        for text, tags in (
            ("a", ["1.0"]),
            ("b", ["main-1", "latest"]),
            ("c", ["branch-x"]),
            ("d", ["sha256-" + "0" * 64]),
        ):
            await store.write(later(dev.push_image, text, *tags))
            clock.advance(SECOND)
        found = await store.report(lambda reports: reports.board.candidates(dev.repository.name, IMAGE, RULES, 10))
        assert [one.tag for one in found] == ["main-1", "1.0"]
        assert found[0].since - found[1].since > SECOND // 2
        assert [one.by for one in found] == ["ann", "ann"]
        every = BoardRules(frozenset(), ())
        assert len(await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, every, 10))) == 4
        assert len(await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, every, 2))) == 2

    async def test_a_build_cache_is_no_candidate(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(later(dev.land, b"{}"))
        body = manifest(b"{}").replace(b"application/vnd.oci.image.config.v1+json", CACHE_CONFIG.encode())
        await store.write(later(dev.push, body, "cache-of-builds"))
        assert not await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, RULES, 10))

    async def test_a_tag_that_tells_a_build_cache_is_no_candidate_nor_counted_as_newer(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        first = await store.write(later(dev.push_image, "a", "1.0"))
        names = ("buildcache", "build-cache.x", "main-buildcache", "x_build-cache", "cache", "my-cachet", "buildcaches")
        for name in names:
            clock.advance(SECOND)
            await store.write(later(dev.push_image, name, name))
        every = BoardRules(frozenset(), ())
        found = await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, every, 10))
        images = [one for one in names if by_name(IMAGE, Tag(one)) is None]
        assert [one.tag for one in found] == [*reversed(images), "1.0"]
        at = found[-1].since
        assert found[-1].digest == first
        assert await store.report(lambda r: r.board.newer(dev.repository.name, IMAGE, every, at, 10)) == len(images)

    async def test_an_index_of_a_build_cache_is_no_candidate_and_one_of_images_is(self, store: Store) -> None:
        dev = await shelf(store)
        await store.write(later(dev.land, b"{}"))
        await store.write(later(dev.push, manifest(b"{}")))
        images = index(manifest(b"{}"))
        await store.write(later(dev.push, images, "1.0"))
        cache = images.replace(OCI_MANIFEST.encode(), CACHE_CONFIG.encode())
        await store.write(later(dev.land, manifest(b"{}")))
        await store.write(later(dev.push, cache, "deps"))
        found = await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, RULES, 10))
        assert [one.tag for one in found] == ["1.0"]

    async def test_a_tag_that_was_deleted_or_moved_away_stands_no_more(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        first = await store.write(later(dev.push_image, "a", "1.0"))
        clock.advance(SECOND)
        second = await store.write(later(dev.push_image, "b", "1.0"))
        found = await store.report(lambda r: r.board.candidates(dev.repository.name, IMAGE, RULES, 10))
        assert [one.digest for one in found] == [second]
        assert await store.report(lambda r: r.board.arrival(dev.repository.name, IMAGE, RULES, first)) is None

    async def test_newer_counts_bytes_and_not_tags_and_no_further_than_asked(
        self, store: Store, clock: HandClock
    ) -> None:
        dev = await shelf(store)
        first = await store.write(later(dev.push_image, "a", "1.0"))
        for text, tags in (("b", ["1.1", "main-2"]), ("c", ["main-3"]), ("d", ["branch-4"]), ("e", ["main-5"])):
            clock.advance(SECOND)
            await store.write(later(dev.push_image, text, *tags))

        def newer(reports: Reports, most: int) -> int:
            arrival = reports.board.arrival(dev.repository.name, IMAGE, RULES, first)
            assert arrival is not None
            return reports.board.newer(dev.repository.name, IMAGE, RULES, arrival.at, most)

        assert await store.report(lambda reports: newer(reports, 100)) == 3
        assert await store.report(lambda reports: newer(reports, 2)) == 2

    async def test_an_arrival_knows_the_job_that_brought_the_bytes_first(self, store: Store, clock: HandClock) -> None:
        dev = await shelf(store)
        await store.write(later(dev.land, b"{}"))
        body = manifest(b"{}")
        await store.write(later(dev.push_seen, body, JOB, "main-1"))
        clock.advance(DAY)
        await store.write(later(dev.push, body, "1.0"))

        def read(reports: Reports) -> tuple[object, ...]:
            found = reports.board.arrival(dev.repository.name, IMAGE, RULES, Digest.of(body))
            newest = reports.board.candidates(dev.repository.name, IMAGE, RULES, 1)[0]
            assert found is not None
            return found.at == newest.since, found.seen, newest.seen

        assert await store.report(read) == (
            True,
            Seen("id_token", JOB["job"], commit="c" * 40, ref="main"),
            Seen(),
        )

    async def test_moving_tags_say_where_they_point_in_each_repository(self, store: Store) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat", WritePolicy.ALLOW_ONCE)
        digest = await store.write(later(dev.push_image, "a", "latest"))
        names = ["latest", "stable"]
        found = await store.report(lambda r: r.board.pointing(dev.repository.name, IMAGE, names))
        assert {tag: digest for tag, (digest, _) in found.items()} == {Tag("latest"): digest}
        assert not await store.report(lambda r: r.board.pointing(uat.repository.name, IMAGE, names))

    @pytest.mark.parametrize("size", [1, 2, 100])
    async def test_images_of_several_repositories_come_in_pages_each_once(self, store: Store, size: int) -> None:
        places = [await shelf(store, name, image=image) for name, image in PLACES]
        for at, place in enumerate(places):
            await store.write(later(place.push_image, str(at), "1.0"))
        empty = await shelf(store, "dev", image="never/pushed")
        await store.write(later(empty.land, b"blob"))
        names = [RepositoryName("dev"), RepositoryName("uat")]
        found: list[ImageName] = []
        while True:
            after = found[-1] if found else ""
            page = await store.report(lambda r, after=after: r.board.images(names, after, size))  # type: ignore[misc]
            found += page
            if len(page) < size:
                break
        assert found == ["a/one", "a/two", "b/one"]

    async def test_a_blob_is_found_only_where_the_image_was_given_it(self, store: Store) -> None:
        dev = await shelf(store)
        digest = await store.write(later(dev.land, b"config"))
        found = await store.report(lambda r: r.board.blob(dev.repository.name, IMAGE, digest))
        assert found is not None
        assert found.body == b"config"
        assert await store.report(lambda r: r.board.blob(dev.repository.name, ImageName("other"), digest)) is None
        assert await store.report(lambda r: r.board.blob(RepositoryName("none"), IMAGE, digest)) is None


PLACES = (("dev", "a/one"), ("uat", "a/one"), ("uat", "a/two"), ("dev", "b/one"), ("other", "c/one"))
