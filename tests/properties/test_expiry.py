"""Row 117 of the hostile table: whatever was pushed, deleted and brought back, rules of expiry, the emptying of the
trash and reclaim take nothing that is written once or was promoted, nor anything that such an image needs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.commits.deletion import Deletion, delete_manifest, delete_tag
from pierhead.commits.reclaim import forget_blobs, review_blobs
from pierhead.commits.restoring import Undo, restore_manifest
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules
from pierhead.domain.manifest import Index, parse
from pierhead.domain.names import Tag
from pierhead.domain.patterns import TagPatterns
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import Refusal
from pierhead.jobs.empty_trash import EmptyTrash
from pierhead.jobs.expire import Expiry
from pierhead.jobs.keep_pulls import KeepPulls
from pierhead.ports.faults import NoFaults
from pierhead.ports.metadata.store import Tx
from pierhead.repositories.pulls import Pulls
from tests.contracts.rows import DAY, HandClock, Shelf, index, manifest, shelf
from tests.effort import examples

# As if the configuration had taken rules for every repository, the harshest that there are.
HARSH = Rules(
    (
        Rule(tags=TagPatterns(["keep-*"]), keep=True),
        Rule(tags=TagPatterns(["{version}"]), newest=1),
        Rule(tags=TagPatterns(["*"]), older=1),
        Rule(untagged=1),
    ),
    cache_bytes=1,
)
KEEP = 2 * DAY
PLACES = ("dev", "uat", "prod")


@dataclass
class World:
    """Three stages, the later ones written once. ``promised`` are tags of these that were ever acknowledged, ``there``
    all manifests, tagged or not."""

    store: SqliteStore
    clock: HandClock
    at: dict[str, Shelf]
    bodies: dict[str, bytes] = field(default_factory=dict)
    promised: dict[tuple[str, str], Digest] = field(default_factory=dict)
    there: set[tuple[str, Digest]] = field(default_factory=set)

    def expiry(self) -> Expiry:
        rules = {one.repository.name: HARSH for one in self.at.values()}
        pulls = KeepPulls(self.store, Pulls())
        return Expiry(self.store, self.clock, "one", rules, KEEP, 1, 1, pulls, term=0)


Step = Callable[[World], Awaitable[None]]

texts = st.sampled_from(["a", "b", "c", "d"])
tags = st.sampled_from(["1.0", "2.0", "latest", "buildcache", "keep-1"])
places = st.sampled_from(PLACES)


def body_of(text: str) -> bytes:
    return manifest(b'{"text": "%s"}' % text.encode(), b"a layer that all share", b"only of " + text.encode())


def content(tx: Tx, at: Shelf, text: str) -> bytes:
    for blob in (b'{"text": "%s"}' % text.encode(), b"a layer that all share", b"only of " + text.encode()):
        at.land(tx, blob)
    return body_of(text)


async def write(world: World, where: str, tag: str, make: Callable[[Tx, Shelf], bytes]) -> None:
    """A push, or what a promotion writes; a refusal promises nothing."""
    at = world.at[where]

    def push(tx: Tx) -> Digest:
        return at.push(tx, make(tx, at), tag).digest

    try:
        digest = await world.store.write(push)
    except Refusal:
        return
    if where != "dev":
        world.promised[where, tag] = digest
        world.there.add((where, digest))


def push(where: str, text: str, tag: str) -> Step:
    return lambda world: write(world, where, tag, lambda tx, at: content(tx, at, text))


def push_index(where: str, first: str, second: str, tag: str) -> Step:
    def make(tx: Tx, at: Shelf) -> bytes:
        children = [content(tx, at, text) for text in dict.fromkeys((first, second))]
        for child in children:
            at.push(tx, child)
        return index(*children)

    return lambda world: write(world, where, tag, make)


def sign(where: str, text: str) -> Step:
    async def step(world: World) -> None:
        at = world.at[where]

        def make(tx: Tx) -> None:
            at.land(tx, b"signature of " + text.encode())
            at.push(tx, manifest(b"signature of " + text.encode(), subject=body_of(text)))

        await world.store.write(make)
        if where != "dev":
            world.there.add((where, Digest.of(manifest(b"signature of " + text.encode(), subject=body_of(text)))))

    return step


def delete(text: str, tag: str) -> Step:
    """By people, in the first stage, who bring half of it back."""

    async def step(world: World) -> None:
        at, digest = world.at["dev"], Digest.of(body_of(text))
        deletion = Deletion(at.repository.id, at.repository.name, at.image, "ann", 1, {}, KEEP)
        undo = Undo(at.repository.id, at.repository.name, at.image, "ann", 1)
        for attempt in (
            lambda tx: delete_tag(tx, deletion, Tag(tag)),
            lambda tx: delete_manifest(tx, deletion, digest),
            *((lambda tx: restore_manifest(tx, undo, digest),) if tag == "latest" else ()),
        ):
            try:
                await world.store.write(attempt)
            except Refusal:
                continue

    return step


def pass_days(days: int) -> Step:
    async def step(world: World) -> None:
        world.clock.advance(days * DAY)

    return step


async def clean(world: World) -> None:
    """Rules, the trash, and reclaim until nothing is left to do."""
    await world.expiry().run(1000)
    await EmptyTrash(world.store, world.clock, "one", KEEP, 1, term=0)()
    for _ in range(3):
        world.clock.advance(1000)
        reviewed = await world.store.write(lambda tx: review_blobs(tx, 1, 1000))
        await world.store.write(lambda tx, leaving=reviewed.leaving: forget_blobs(tx, leaving))  # type: ignore[misc]


async def check(world: World) -> None:
    for (where, tag), digest in world.promised.items():
        at = world.at[where]
        hits = await world.store.lookups.tag((at.repository.id,), at.image, Tag(tag))
        assert hits, f"{where}:{tag} is gone"
        found = await world.store.lookups.stored(hits[0].manifest)
        assert found.digest == digest, f"{where}:{tag} is another"
    for where, digest in world.there:
        await whole(world, world.at[where], digest)


async def whole(world: World, at: Shelf, digest: Digest) -> None:
    hits = await world.store.lookups.manifest((at.repository.id,), at.image, digest)
    assert hits, f"{digest} is gone from {at.repository.name}"
    parsed = parse((await world.store.lookups.stored(hits[0].manifest)).body, None)
    if isinstance(parsed, Index):
        for child in parsed.children:
            await whole(world, at, child.digest)
    for blob in parsed.required:
        assert await world.store.lookups.blob((at.repository.id,), at.image, blob.digest), f"{blob.digest} is gone"


steps = st.lists(
    st.one_of(
        st.builds(push, places, texts, tags),
        st.builds(push_index, places, texts, texts, tags),
        st.builds(sign, places, texts),
        st.builds(delete, texts, tags),
        st.builds(pass_days, st.integers(1, 3)),
        st.just(clean),
    ),
    min_size=2,
    max_size=14,
)


async def live(made: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = HandClock()
        store = await SqliteStore.open(Path(folder) / "pierhead.db", clock, NoFaults())
        try:
            await store.write(lambda tx: tx.pulls.begin())
            once = WritePolicy.ALLOW_ONCE
            at = {where: await shelf(store, where, WritePolicy.ALLOW if where == "dev" else once) for where in PLACES}
            world = World(store, clock, at)
            for step in made:
                await step(world)
                await check(world)
            await pass_days(3)(world)
            await clean(world)
            await check(world)
        finally:
            await store.close()


@settings(max_examples=examples(40))
@given(steps)
def test_row_117_nothing_that_is_written_once_or_promoted_is_ever_touched(made: list[Step]) -> None:
    asyncio.run(live(made))


def test_the_harsh_rules_do_take_what_they_may() -> None:
    """Or the test above would prove nothing."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            clock = HandClock()
            store = await SqliteStore.open(Path(folder) / "pierhead.db", clock, NoFaults())
            await store.write(lambda tx: tx.pulls.begin())
            world = World(store, clock, {"dev": await shelf(store, "dev")})
            for step in (
                push("dev", "a", "latest"),
                push("dev", "b", "keep-1"),
                pass_days(1),
                clean,
                pass_days(3),
                clean,
            ):
                await step(world)
            at = world.at["dev"]
            gone, kept = (Digest.of(b"only of " + text) for text in (b"a", b"b"))
            assert not await store.lookups.known(gone)
            assert await store.lookups.blob((at.repository.id,), at.image, kept)
            await store.close()

    asyncio.run(run())
