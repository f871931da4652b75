"""What every metadata store must answer of the record: searched, followed, and what tags pointed at before."""

from __future__ import annotations

import itertools

from pierhead.commits.audit import PROGRAM, Happened, record, record_happened, record_settings
from pierhead.commits.deletion import delete_manifest, delete_tag
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.ports.metadata.audit import EventFilter, EventRow
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import Event
from tests.contracts.metadata import MetadataFixtures
from tests.contracts.rows import HOUR, SECOND, HandClock, later, shelf

EVERYTHING = EventFilter()


async def newest(
    store: Store, wanted: EventFilter = EVERYTHING, before: int | None = None, limit: int = 100
) -> list[EventRow]:
    return list(await store.report(lambda reports: reports.events(wanted, before, limit)))


async def following(store: Store, after: int, limit: int, wanted: EventFilter = EVERYTHING) -> tuple[list[int], int]:
    found, looked = await store.report(lambda reports: reports.events_after(wanted, after, limit))
    return [row.seq for row in found], looked


async def furnish(store: Store, clock: HandClock) -> list[tuple[str, str, str | None, str | None]]:
    """Sixty events, an hour between two; each as (kind, account, repository, image), oldest first."""
    made = [
        (kind, account, repository, image)
        for kind, account, repository, image in itertools.product(
            ("push", "login failed", "refused"), ("ann", "bo", "", "cy"), ("dev", None), ("a/b", "c", None)
        )
        if repository is not None or image is None or kind != "push"
    ]
    for kind, account, repository, image in made:
        what = {name: value for name, value in (("repository", repository), ("image", image)) if value is not None}
        await store.write(later(record, kind, account, what, {"request_id": "r"}))
        clock.advance(HOUR)
    return made


class RecordContract(MetadataFixtures):
    async def test_each_filter_gives_what_fits_all_that_is_asked_newest_first(
        self, store: Store, clock: HandClock
    ) -> None:
        made = await furnish(store, clock)
        for kind, account, repository, image in itertools.product(
            (None, "push", "nothing"), (None, "ann", ""), (None, "dev"), (None, "a/b", "nowhere")
        ):
            found = await newest(store, EventFilter(account, repository, image, kind))
            wanted = [
                number
                for number, row in enumerate(made, 1)
                if all(asked in (None, got) for asked, got in zip((kind, account, repository, image), row))
            ]
            assert [row.seq for row in found] == list(reversed(wanted))

    async def test_an_instant_bounds_from_itself_on_and_before_itself(self, store: Store, clock: HandClock) -> None:
        await furnish(store, clock)
        rows = list(reversed(await newest(store)))
        for number in (0, 1, 17, len(rows) - 1):
            at = rows[number].at
            assert [row.seq for row in reversed(await newest(store, EventFilter(since=at)))] == [
                row.seq for row in rows[number:]
            ]
            assert [row.seq for row in reversed(await newest(store, EventFilter(until=at)))] == [
                row.seq for row in rows[:number]
            ]
            span = EventFilter(account="ann", since=at, until=at + 20 * HOUR)
            assert all(at <= row.at < at + 20 * HOUR for row in await newest(store, span))
        assert not await newest(store, EventFilter(since=clock.now() + HOUR))
        assert not await newest(store, EventFilter(until=0))

    async def test_pages_follow_each_other_without_a_gap(self, store: Store, clock: HandClock) -> None:
        await furnish(store, clock)
        every = [row.seq for row in await newest(store, EventFilter(kind="refused"))]
        found: list[int] = []
        while page := await newest(store, EventFilter(kind="refused"), found[-1] if found else None, 5):
            found += [row.seq for row in page]
        assert found == every

    async def test_who_follows_gets_each_event_once_and_learns_up_to_where_he_knows_all(
        self, store: Store, clock: HandClock
    ) -> None:
        made = await furnish(store, clock)
        last = len(made)
        assert await following(store, 0, 10) == (list(range(1, 11)), 10)
        assert await following(store, last - 3, 10) == ([last - 2, last - 1, last], last)
        assert await following(store, last, 10) == ([], last)
        assert await following(store, last + 5, 10) == ([], last + 5)
        assert await following(store, 0, 10, EventFilter(kind="nothing")) == ([], last)

    async def test_the_head_moves_with_every_event_and_not_with_what_was_undone(self, store: Store) -> None:
        heads = [await store.report(lambda reports: reports.record_head())]
        assert (heads[0].seq, heads[0].hash) == (0, bytes(32))
        for _ in range(3):
            await store.write(lambda tx: record(tx, "push", "ann", {}, {}))
            heads.append(await store.report(lambda reports: reports.record_head()))
        assert [head.seq for head in heads] == [0, 1, 2, 3]
        assert len({head.hash for head in heads}) == 4

        def undone(tx: Tx) -> None:
            record(tx, "push", "ann", {}, {})
            raise ValueError

        try:
            await store.write(undone)
        except ValueError:
            pass
        assert await store.report(lambda reports: reports.record_head()) == heads[-1]

    async def test_a_push_tells_what_each_tag_pointed_at_before_and_a_deletion_what_it_took(self, store: Store) -> None:
        dev = await shelf(store)
        first = await store.write(lambda tx: dev.push_image(tx, "first", "a", "b"))
        second = await store.write(lambda tx: dev.push_image(tx, "second", "b", "c"))
        await store.write(lambda tx: dev.push_image(tx, "second", "b", "c", "a"))
        await store.write(lambda tx: delete_tag(tx, dev.deletion(), Tag("b")))
        await store.write(lambda tx: delete_manifest(tx, dev.deletion(), second))
        told = [row.body for row in reversed(await newest(store))]
        assert [body["before"] for body in told] == [
            {},
            {"b": first},
            {"a": first},
            {"b": second},
            {"a": second, "c": second},
        ]
        assert [body["digest"] for body in told] == [first, second, second, second, second]
        assert told[3]["tags"] == ["b"]

    async def test_tags_are_told_with_the_digests_that_they_point_at(self, store: Store) -> None:
        dev = await shelf(store)
        first = await store.write(lambda tx: dev.push_image(tx, "first", "a", "b"))

        def pointing(tx: Tx) -> dict[Tag, Digest]:
            image = tx.images.ensure(dev.repository.id, dev.image)
            return dict(tx.tags.pointing(image, [Tag("a"), Tag("b"), Tag("none")]))

        assert await store.write(pointing) == {"a": first, "b": first}
        await store.write(lambda tx: delete_tag(tx, dev.deletion(), Tag("a")))
        assert await store.write(pointing) == {"b": first}

    async def test_what_waited_says_when_it_took_place_and_what_was_lost_is_counted(
        self, store: Store, clock: HandClock
    ) -> None:
        at = clock.now()
        clock.advance(5 * SECOND)
        queued = [
            Happened(at, Event("pull", "ann", {"n": 1})),
            Happened(clock.now(), Event("pull", "bo", {"n": 2})),
        ]
        await store.write(lambda tx: record_happened(tx, queued, 7))
        lost, late, prompt = (row.body for row in reversed(await newest(store)))
        assert lost == {"times": 7}
        assert late == {"n": 1, "happened": "2023-11-14T22:13:20.000Z"}
        assert prompt == {"n": 2}

    async def test_a_configuration_is_told_of_once_and_then_only_with_the_keys_that_differ(self, store: Store) -> None:
        def told(tx: Tx, **marks: str) -> list[str]:
            return list(record_settings(tx, "p.yaml", "sha256:00", marks))

        assert await store.write(lambda tx: told(tx, data="1", tls="2")) == ["data", "tls"]
        assert await store.write(lambda tx: told(tx, data="1", tls="2")) == []
        assert await store.write(lambda tx: told(tx, data="1", workers="3")) == ["tls", "workers"]
        second, first = await newest(store)
        assert (first.account, first.body["first"], second.body["first"]) == (PROGRAM, True, False)
        assert second.body["changed"] == ["tls", "workers"]
