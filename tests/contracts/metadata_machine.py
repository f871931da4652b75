"""Random pushes, moves, deletions and reviews against a model of a few dictionaries.

After each step: every tag points where the model says and its manifest is whole (I1-I3), a tag written once never had a
second digest (I4), nothing wanted or leased is gone (I7), every blob moved as the table of its states allows, and what
nothing wants stands in the review queue (I5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from pierhead.commits.blob import mount_blob, renew_blob
from pierhead.commits.deletion import delete_blob, delete_manifest, delete_tag
from pierhead.commits.reclaim import forget_blobs, review_blobs
from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import MOVES, BlobState
from pierhead.domain.names import Tag
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import (
    BlobNamedByManifest,
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestNeeded,
    ManifestUnknown,
)
from pierhead.domain.refusals_tags import TagWrittenOnce
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import BlobRow
from tests.contracts.rows import HOUR, SECOND, HandClock, Shelf, cache_manifest, manifest, shelf

LEASE = 4 * HOUR
QUARANTINE = HOUR
BODIES = [b"body %d" % number for number in range(4)]
TAGS = ["1.0", "1.1", "latest"]

REFUSED = (BlobUnknown, BlobNamedByManifest, ManifestUnknown, ManifestNeeded, ManifestBlobUnknown, TagWrittenOnce)


@dataclass
class Model:
    """What must be so, by shelf (0 moves its tags, 1 writes them once)."""

    tags: dict[tuple[int, str], Digest] = field(default_factory=dict)
    once: dict[tuple[int, str], Digest] = field(default_factory=dict)
    manifests: dict[tuple[int, Digest], frozenset[int]] = field(default_factory=dict)
    cached: dict[Digest, frozenset[int]] = field(default_factory=dict)
    """Manifests that a proxy keeps, whether their blobs are here or not."""
    leases: dict[tuple[int, int], int] = field(default_factory=dict)
    """(shelf, number of the body) -> until when, at least, the blob is there for it."""

    def promised(self, now: int) -> set[tuple[int, int]]:
        named = {(at, body) for (at, _), bodies in self.manifests.items() for body in bodies}
        return named | {key for key, until in self.leases.items() if until > now}


class MetadataMachine(RuleBasedStateMachine):
    """An adapter's test gives ``open_store`` and ``close_store``."""

    shelves = Bundle("shelves")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock()
        self.model = Model()
        self.states: dict[Digest, BlobState] = {}
        self.generations = 0
        self.store: Store = self.wait(self.open_store())
        self.at = [
            self.wait(shelf(self.store, "dev", WritePolicy.ALLOW, lease=LEASE)),
            self.wait(shelf(self.store, "prod", WritePolicy.ALLOW_ONCE, lease=LEASE)),
        ]
        self.proxy: Shelf = self.wait(shelf(self.store, "hub", WritePolicy.ALLOW, lease=LEASE))
        self.leaving: list[BlobRow] = []

    async def open_store(self) -> Store:
        raise AssertionError("an adapter's test overrides this")

    async def close_store(self) -> None:
        raise AssertionError("an adapter's test overrides this")

    def teardown(self) -> None:
        self.wait(self.close_store())
        self.loop.close()

    def wait(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await work

        return self.loop.run_until_complete(whole())

    def write(self, fn: Any, *args: Any) -> Any:
        """The result, or the refusal."""

        async def whole() -> Any:
            return await self.store.write(lambda tx: fn(tx, *args))

        try:
            return self.loop.run_until_complete(whole())
        except REFUSED as refused:
            return refused

    @initialize(target=shelves)
    def first(self) -> int:
        return 0

    @initialize(target=shelves)
    def second(self) -> int:
        return 1

    @rule(at=shelves, body=st.sampled_from(range(len(BODIES))))
    def push_blob(self, at: int, body: int) -> None:
        self.generations += 1
        self.write(self.at[at].land, BODIES[body], self.generations)
        self.model.leases[at, body] = self.clock.at + LEASE

    @rule(at=shelves, body=st.sampled_from(range(len(BODIES))))
    def mount(self, at: int, body: int) -> None:
        other = self.at[1 - at]
        sources = [(other.repository.id, other.image)]
        mounted = self.write(mount_blob, self.at[at].place, Digest.of(BODIES[body]), sources)
        assert mounted or (1 - at, body) not in self.model.promised(self.clock.at)
        if mounted:
            self.model.leases[at, body] = self.clock.at + LEASE

    @rule(at=shelves, body=st.sampled_from(range(len(BODIES))))
    def head(self, at: int, body: int) -> None:
        here = self.at[at]
        renewed = self.write(renew_blob, here.repository.id, here.image, Digest.of(BODIES[body]), LEASE)
        assert renewed or (at, body) not in self.model.promised(self.clock.at)
        if renewed:
            self.model.leases[at, body] = self.clock.at + LEASE

    @rule(
        at=shelves,
        bodies=st.sets(st.sampled_from(range(len(BODIES))), min_size=1, max_size=2),
        tags=st.lists(st.sampled_from(TAGS), max_size=2, unique=True),
    )
    def push_manifest(self, at: int, bodies: set[int], tags: list[str]) -> None:
        listed = [BODIES[body] for body in sorted(bodies)]
        content = manifest(listed[0], *listed[1:])
        digest = Digest.of(content)
        answer = self.write(self.at[at].push, content, *tags)
        spent = [tag for tag in tags if at == 1 and self.model.once.get((at, tag), digest) != digest]
        if isinstance(answer, ManifestBlobUnknown):
            assert not {(at, body) for body in bodies} <= self.model.promised(self.clock.at)
        elif isinstance(answer, TagWrittenOnce):
            assert spent
        else:
            assert not spent
            self.model.manifests[at, digest] = frozenset(bodies)
            for tag in tags:
                self.model.tags[at, tag] = digest
                self.model.once.setdefault((at, tag), digest)

    @rule(at=shelves, tag=st.sampled_from(TAGS))
    def delete_tag(self, at: int, tag: str) -> None:
        answer = self.write(delete_tag, self.at[at].deletion(), Tag(tag))
        assert isinstance(answer, ManifestUnknown) == ((at, tag) not in self.model.tags)
        self.model.tags.pop((at, tag), None)

    @precondition(lambda self: self.model.manifests)
    @rule(choice=st.integers(0, 99))
    def delete_manifest(self, choice: int) -> None:
        at, digest = sorted(self.model.manifests)[choice % len(self.model.manifests)]
        answer = self.write(delete_manifest, self.at[at].deletion(), digest)
        tagged = [key for key, found in self.model.tags.items() if key[0] == at and found == digest]
        assert isinstance(answer, ManifestNeeded) == (at == 1 and bool(tagged))
        if answer is None:
            for key in tagged:
                del self.model.tags[key]
            del self.model.manifests[at, digest]

    @rule(bodies=st.sets(st.sampled_from(range(len(BODIES))), min_size=1, max_size=2))
    def cache_manifest(self, bodies: set[int]) -> None:
        listed = [BODIES[body] for body in sorted(bodies)]
        self.model.cached[self.write(cache_manifest, self.proxy, *listed)] = frozenset(bodies)

    @precondition(lambda self: self.model.cached)
    @rule(choice=st.integers(0, 99))
    def evict_manifest(self, choice: int) -> None:
        digest = sorted(self.model.cached)[choice % len(self.model.cached)]
        assert self.write(delete_manifest, self.proxy.deletion(), digest) is None
        del self.model.cached[digest]

    @rule(at=shelves, body=st.sampled_from(range(len(BODIES))))
    def delete_blob(self, at: int, body: int) -> None:
        if self.write(delete_blob, self.at[at].deletion(), Digest.of(BODIES[body])) is None:
            self.model.leases.pop((at, body), None)

    @rule(pause=st.sampled_from([SECOND, HOUR, QUARANTINE + SECOND, LEASE + SECOND]))
    def time_passes(self, pause: int) -> None:
        self.clock.advance(pause)

    @rule()
    def review(self) -> None:
        self.leaving = list(self.write(review_blobs, QUARANTINE, 3).leaving)

    @rule()
    def forget(self) -> None:
        """What the last review marked, although pushes may have come between."""
        self.write(forget_blobs, self.leaving)

    @invariant()
    def tags_point_where_they_should_and_what_they_name_is_whole(self) -> None:
        for at, here in enumerate(self.at):
            for tag in TAGS:
                hits = self.wait(self.store.lookups.tag((here.repository.id,), here.image, Tag(tag)))
                wanted = self.model.tags.get((at, tag))
                assert (wanted is None) == (not hits)
                if hits:
                    assert self.wait(self.store.lookups.stored(hits[0].manifest)).digest == wanted

    @invariant()
    def what_was_promised_is_here(self) -> None:
        for at, body in self.model.promised(self.clock.at):
            here = self.at[at]
            found = self.wait(self.store.lookups.blob((here.repository.id,), here.image, Digest.of(BODIES[body])))
            assert found is not None, f"{BODIES[body]!r} is gone from {here.repository.name}"
            assert found[1].body == BODIES[body]

    @invariant()
    def blobs_move_as_the_table_says_and_are_never_overlooked(self) -> None:
        named = {body for bodies in self.model.manifests.values() for body in bodies}
        named |= {body for bodies in self.model.cached.values() for body in bodies}
        for number, body in enumerate(BODIES):
            digest = Digest.of(body)
            row = self.wait(self.store.lookups.known(digest))
            state = None if row is None else row.state
            before = self.states.get(digest)
            assert state is before or state in MOVES[before], f"{before} became {state}"
            if row is None:
                self.states.pop(digest, None)
                continue
            self.states[digest] = row.state
            waits = self.wait(self.store.lookups.review(row.id)) is not None
            assert waits or number in named, f"{body!r} is wanted by nothing and will never be reviewed"
