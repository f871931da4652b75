"""What every metadata store must do for a proxy: manifests before their blobs, tags before their manifests."""

from __future__ import annotations

from pierhead.commits.blob import Place, adopt_blob
from pierhead.commits.cache_entry import CachePlace, keep_manifest, note_tag
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import parse
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import BlobState, ManifestId
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.rows import DAY, IMAGE, Shelf, index, manifest, shelf

LAYER = b"a layer"
BODY = manifest(LAYER)
OTHER = ImageName("another/image")


async def proxy(store: Store, name: str = "hub") -> Shelf:
    """Nobody may write to a proxy; what comes from its upstream is kept all the same."""
    return await shelf(store, name, WritePolicy.DENY)


def place(at: Shelf, image: ImageName = IMAGE) -> CachePlace:
    return CachePlace(at.repository.id, at.repository.name, image, "Docker Hub")


def keep(tx: Tx, at: Shelf, body: bytes = BODY, tag: str | None = "1", image: ImageName = IMAGE) -> ManifestId:
    named = None if tag is None else Tag(tag)
    return keep_manifest(tx, place(at, image), Digest.of(body), body, parse(body, None), named)


class CacheContract(MetadataFixtures):
    async def test_a_cached_manifest_names_blobs_that_are_not_here(self, store: Store) -> None:
        hub = await proxy(store)
        await store.write(lambda tx: keep(tx, hub))
        assert await store.lookups.tag((hub.repository.id,), IMAGE, Tag("1"))
        assert await store.lookups.blob((hub.repository.id,), IMAGE, Digest.of(LAYER)) is None
        known = await store.lookups.known(Digest.of(LAYER))
        assert known is not None
        assert (known.state, known.size) == (BlobState.ABSENT, len(LAYER))

    async def test_what_names_a_digest_is_found_in_its_own_image_only(self, store: Store) -> None:
        hub, other = await proxy(store), await proxy(store, "quay")
        found = await store.write(lambda tx: keep(tx, hub))
        above = await store.write(lambda tx: keep(tx, hub, index(BODY), None))
        naming = store.lookups.naming
        assert await naming(hub.repository.id, IMAGE, Digest.of(LAYER)) == found
        assert await naming(hub.repository.id, IMAGE, Digest.of(BODY)) == above
        assert await naming(hub.repository.id, IMAGE, Digest.of(b"nobody names this")) is None
        assert await naming(hub.repository.id, OTHER, Digest.of(LAYER)) is None
        assert await naming(other.repository.id, IMAGE, Digest.of(LAYER)) is None

    async def test_a_blob_is_shared_within_its_repository_only(self, store: Store) -> None:
        hub, dev = await proxy(store), await shelf(store)
        digest = await store.write(lambda tx: dev.land(tx, LAYER))
        assert await store.lookups.shared(hub.repository.id, digest) is None
        assert await store.lookups.shared(dev.repository.id, digest) is not None
        given = Place(hub.repository.id, hub.repository.name, OTHER, DAY, cached=True)
        assert await store.write(lambda tx: adopt_blob(tx, given, digest, len(LAYER)))
        shared = await store.lookups.shared(hub.repository.id, digest)
        assert shared is not None
        assert shared.size == len(LAYER)

    async def test_a_tag_that_was_only_seen_gets_its_manifest_when_that_comes(self, store: Store) -> None:
        hub = await proxy(store)
        digest, members = Digest.of(BODY), (hub.repository.id,)
        for tag in ("1", "1.0"):
            assert await store.write(lambda tx, tag=tag: note_tag(tx, place(hub), Tag(tag), digest)) is None  # type: ignore[misc]
        assert await store.lookups.tags(members, IMAGE, "", 10) == []
        found = await store.write(lambda tx: keep(tx, hub, tag=None))
        assert await store.lookups.tags(members, IMAGE, "", 10) == ["1", "1.0"]
        assert await store.write(lambda tx: note_tag(tx, place(hub), Tag("2"), digest)) == found
        assert await store.lookups.tags(members, IMAGE, "", 10) == ["1", "1.0", "2"]

    async def test_a_tag_that_was_seen_elsewhere_since_does_not_go_back(self, store: Store) -> None:
        hub = await proxy(store)
        newer = manifest(b"newer")
        await store.write(lambda tx: note_tag(tx, place(hub), Tag("1"), Digest.of(BODY)))
        await store.write(lambda tx: keep(tx, hub, newer))
        await store.write(lambda tx: keep(tx, hub, tag=None))
        hits = await store.lookups.tag((hub.repository.id,), IMAGE, Tag("1"))
        assert (await store.lookups.stored(hits[0].manifest)).digest == Digest.of(newer)

    async def test_only_what_changes_something_is_told(self, store: Store) -> None:
        hub = await proxy(store)

        def told(tx: Tx) -> list[str]:
            """How many events there are, by the number of the next one."""
            keep(tx, hub)
            note_tag(tx, place(hub), Tag("1"), Digest.of(BODY))
            return [str(tag) for tag in tx.cache.waiting(tx.images.ensure(hub.repository.id, IMAGE), Digest.of(BODY))]

        for _ in range(3):
            assert await store.write(told) == ["1"]
        history = await store.report(lambda reports: reports.history(hub.repository.name, IMAGE, Tag("1"), 10))
        assert [(one.digest, one.by) for one in history] == [(Digest.of(BODY), "Docker Hub")]
