"""What every metadata store must keep of what clusters run."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

from pierhead.commits.running import Found, Report, forget_cluster, report_running
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.refusals_running import ClusterUnknown
from pierhead.ports.metadata.audit import EventFilter
from pierhead.ports.metadata.running import ClusterRow, RunningRow
from pierhead.ports.metadata.store import Store
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.rows import IMAGE, SECOND, HandClock, index, later, manifest, shelf

A, B = Digest.of(b"a"), Digest.of(b"b")


def row(digest: Digest | None = A, cluster: str = "prod-eu", image: str = IMAGE, **more: object) -> RunningRow:
    repository = "dev" if image else ""
    made = RunningRow(0, cluster, "h:1/x:1.0", repository, image, Tag("1.0"), digest, "prod", "Deployment/x", "app", 2)
    return replace(made, **more)


def report(*rows: RunningRow, cluster: str = "prod-eu", stage: str = "") -> Report:
    return Report(cluster, stage, [Found(one) for one in rows], "svc-report", {"request_id": "r"})


async def say(store: Store, told: Report) -> tuple[ClusterRow, bool]:
    return await store.write(partial(report_running, report=told))


class RunningContract(MetadataFixtures):
    async def test_a_report_replaces_the_whole_list_of_its_cluster_and_no_other(
        self, store: Store, clock: HandClock
    ) -> None:
        await say(store, report(row(A), row(B)))
        await say(store, report(row(B, "uat-eu"), cluster="uat-eu", stage="uat"))
        clock.advance(SECOND)
        found, changed = await say(store, report(row(B)))
        assert (found.entries, changed) == (1, True)
        rows = await store.report(lambda r: r.running.page(None, None, ("", 0), 10))
        assert [(one.cluster, one.digest, one.count) for one in rows] == [("prod-eu", B, 2), ("uat-eu", B, 2)]
        clusters = await store.report(lambda r: r.running.clusters())
        assert [(one.cluster, one.stage, one.entries) for one in clusters] == [("prod-eu", "", 1), ("uat-eu", "uat", 1)]
        assert clusters[0].reported > clusters[1].reported

    async def test_an_empty_list_is_a_list(self, store: Store) -> None:
        await say(store, report(row(A)))
        found, changed = await say(store, report())
        assert (found.entries, changed) == (0, True)
        assert not await store.report(lambda r: r.running.of_image(IMAGE, 10))

    async def test_the_record_is_told_of_changes_and_not_of_every_report(self, store: Store, clock: HandClock) -> None:
        await say(store, report(row(A), row(None, image="", reference="quay.io/other:1")))
        clock.advance(SECOND)
        first = await store.report(lambda r: r.running.clusters())
        again, changed = await say(store, report(row(A), row(None, image="", reference="quay.io/other:1")))
        assert not changed
        assert again.reported > first[0].reported, "but that it still says so is known"
        await say(store, report(row(B)))
        events = await store.report(lambda r: r.events(EventFilter(kind="running"), None, 10))
        told = [(one.account, one.body["added"], one.body["removed"]) for one in reversed(events)]
        assert told == [
            ("svc-report", [f"dev/{IMAGE}@{A}"], []),
            ("svc-report", [f"dev/{IMAGE}@{B}"], [f"dev/{IMAGE}@{A}"]),
        ]

    async def test_a_tag_whose_digest_nobody_told_is_what_it_stands_for_now_in_the_first_that_has_it(
        self, store: Store
    ) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        await store.write(later(dev.push_image, "old", "1.0"))
        newer = await store.write(later(uat.push_image, "new", "1.0"))
        asked = ((uat.repository.id, IMAGE), (dev.repository.id, IMAGE))
        nowhere = ((dev.repository.id, ImageName("never/pushed")),)
        told = [Found(row(None), asked), Found(row(None, container="b"), nowhere)]
        await store.write(partial(report_running, report=Report("prod-eu", "", told, "a", {})))
        rows = await store.report(lambda r: r.running.of_image(IMAGE, 10))
        assert [one.digest for one in rows] == [newer, None]

    async def test_a_platform_that_runs_is_known_by_the_index_that_lists_it(self, store: Store) -> None:
        dev, uat = await shelf(store), await shelf(store, "uat")
        child = manifest(b"{}")
        whole = index(child)
        for place in (dev,):
            await store.write(later(place.land, b"{}"))
            await store.write(later(place.push, child))
            await store.write(later(place.push, whole, "1.0"))
        await say(store, report(row(Digest.of(child))))
        both = {Digest.of(child), Digest.of(whole)}
        known = await store.report(lambda r: r.running.known_as(dev.repository.name, IMAGE, Digest.of(child)))
        assert set(known) == both
        assert not await store.report(lambda r: r.running.known_as(uat.repository.name, IMAGE, Digest.of(child)))

    async def test_entries_come_in_pages_by_cluster_and_by_image(self, store: Store) -> None:
        for name in ("a", "b"):
            rows = [row(A, name, image, container=f"c{n}") for n, image in enumerate((IMAGE, "", "x", IMAGE))]
            await say(store, report(*rows, cluster=name))
        asked: list[tuple[str | None, str | None, int]] = [
            (None, None, 8),
            ("a", None, 4),
            (None, IMAGE, 4),
            ("b", IMAGE, 2),
            ("no", None, 0),
        ]
        for cluster, image, count in asked:
            for size in (1, 3, 100):
                found: list[RunningRow] = []
                while True:
                    after: tuple[str, int] = (found[-1].cluster, found[-1].id) if found else ("", 0)
                    page = await store.report(
                        lambda r, a=after, c=cluster, i=image, s=size: r.running.page(c, i, a, s)  # type: ignore[misc]
                    )
                    found += page
                    if len(page) < size:
                        break
                assert len(found) == len({one.id for one in found}) == count, (cluster, image, size)

    async def test_a_cluster_is_forgotten_once(self, store: Store) -> None:
        await say(store, report(row(A)))
        await store.write(lambda tx: forget_cluster(tx, "prod-eu", "ann", {}))
        assert not await store.report(lambda r: r.running.clusters())
        with pytest.raises(ClusterUnknown):
            await store.write(lambda tx: forget_cluster(tx, "prod-eu", "ann", {}))
