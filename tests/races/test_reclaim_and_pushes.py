"""Reclaim at full speed against pushes, mounts, HEADs and deletions: no window in which a pushed blob vanishes.

The clock jumps ahead as fast as it may while every client still finishes within what it was promised: half a lease
after a HEAD, a lease after anything else. Whatever is acknowledged must be readable, and in the end all space is back.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pierhead.adapters.files.store import FileBlobs
from pierhead.domain.digest import Digest
from pierhead.domain.lifecycle import BlobState
from pierhead.domain.refusals import BlobNamedByManifest, BlobUnknown
from pierhead.jobs.loop import Failed
from pierhead.jobs.reclaim import Reclaim, preview
from tests.contracts.rows import SECOND, HandClock, manifest
from tests.races.registry import Lost, Registry, bodies, registry

LEASE = 1000 * SECOND
QUARANTINE = 10 * SECOND
PROMISE = LEASE // 2
JUMP = 300 * SECOND
CLIENTS = 8


class Age(HandClock):
    """Lets time pass only as far as the sessions that are going on allow."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[object, int] = {}

    @contextmanager
    def session(self) -> Iterator[None]:
        key = object()
        self._begun[key] = self.at
        try:
            yield
        finally:
            del self._begun[key]

    def pass_on(self) -> None:
        latest = min(self._begun.values(), default=self.at) + PROMISE - 10 * SECOND
        self.at = max(self.at, min(self.at + JUMP, latest))


class DawdlingFiles(FileBlobs):
    """Takes its time to delete, so that pushes fall between the mark and the deletion, and between that and the end."""

    async def delete(self, places: Sequence[tuple[Digest, str]]) -> None:
        await asyncio.sleep(0.003)
        await super().delete(places)
        await asyncio.sleep(0.003)


class Race:
    """The clients, and the ledger of what was acknowledged: (image, digest of the manifest)."""

    def __init__(self, on: Registry, clock: Age, seed: int) -> None:
        self.on = on
        self.clock = clock
        self.dice = random.Random(seed)
        self.ledger: set[tuple[str, Digest]] = set()
        self.layers = bodies(60)
        self.over = False
        self.began = clock.now()
        self.counts = dict.fromkeys(
            ("pushed", "mounted", "mount refused", "told", "deleted", "read", "came back", "called back"), 0
        )

    async def client(self, me: int) -> None:
        for number in itertools.count():
            if self.seen_enough():
                break
            kind = self.dice.choice((self.push, self.mount, self.head))
            with self.clock.session():
                await kind(f"client/c{me % 3}", f"{me}-{number}")
            await asyncio.sleep(0)

    def seen_enough(self) -> bool:
        return self.clock.now() - self.began > 8 * LEASE and all(count >= 10 for count in self.counts.values())

    async def push(self, image: str, tag: str) -> None:
        layers = {self.dice.choice(self.layers), await self.one_that_is(BlobState.DELETING, "came back")}
        await self.acknowledged(image, await self.on.push_image(image, tag, *layers))
        self.counts["pushed"] += 1

    async def one_that_is(self, state: BlobState, noted: str) -> bytes:
        """A layer in just this state, if there is one, else any."""
        for layer in self.dice.sample(self.layers, len(self.layers)):
            row = await self.on.store.lookups.known(Digest.of(layer))
            if row is not None and row.state is state:
                self.counts[noted] += 1
                return layer
        return self.dice.choice(self.layers)

    async def mount(self, image: str, tag: str) -> None:
        """From an image whose blobs others delete meanwhile. What was mounted needs no upload."""
        layer = await self.one_that_is(BlobState.CONDEMNED, "called back")
        if not await self.on.mount(image, Digest.of(layer), "donor"):
            self.counts["mount refused"] += 1
            return
        await self.on.read_blob(image, Digest.of(layer))
        await self.name(image, tag, layer)
        self.counts["mounted"] += 1

    async def head(self, image: str, tag: str) -> None:
        """As clients that ask first and upload only what is not there."""
        layer = await self.one_that_is(BlobState.CONDEMNED, "called back")
        try:
            await self.on.head(image, Digest.of(layer))
        except BlobUnknown:
            return
        await self.name(image, tag, layer)
        self.counts["told"] += 1

    async def name(self, image: str, tag: str, layer: bytes) -> None:
        config = b'{"tag": "%s"}' % tag.encode()
        await self.on.push_blob(image, config)
        await asyncio.sleep(0.001 * self.dice.random())
        await self.acknowledged(image, await self.on.push_manifest(image, manifest(config, layer), tag))

    async def acknowledged(self, image: str, digest: Digest) -> None:
        """Is readable at once, before anybody deletes it, and from then on."""
        await self.on.read_image(image, digest)
        self.ledger.add((image, digest))

    async def deleter(self) -> None:
        while not self.over:
            await asyncio.sleep(0.002)
            while len(self.ledger) > 4:
                image, digest = self.dice.choice(sorted(self.ledger))
                self.ledger.remove((image, digest))
                await self.on.delete_manifest(image, digest)
                self.counts["deleted"] += 1

    async def donor(self) -> None:
        while not self.over:
            with self.clock.session():
                await self.on.push_blob("donor", self.dice.choice(self.layers))
            try:
                await self.on.delete_blob("donor", Digest.of(self.dice.choice(self.layers)))
            except (BlobUnknown, BlobNamedByManifest):
                pass
            await asyncio.sleep(0.001)

    async def reader(self) -> None:
        while not self.over:
            await asyncio.sleep(0)
            if not self.ledger:
                continue
            asked = self.dice.choice(sorted(self.ledger))
            try:
                await self.on.read_image(*asked)
                self.counts["read"] += 1
            except Lost:
                if asked in self.ledger:
                    raise

    async def collector(self, reclaim: Reclaim) -> None:
        while not self.over:
            assert not isinstance(outcome := await reclaim(), Failed), outcome
            self.clock.pass_on()
            await asyncio.sleep(0)

    async def run(self, reclaims: list[Reclaim]) -> None:
        async with asyncio.TaskGroup() as group:
            for reclaim in reclaims:
                group.create_task(self.collector(reclaim))
            for work in (self.deleter, self.donor, self.reader, self.reader):
                group.create_task(work())
            clients = [group.create_task(self.client(number)) for number in range(CLIENTS)]
            await asyncio.wait(clients)
            self.over = True


@pytest.fixture
def clock() -> Age:
    return Age()


@pytest.fixture
async def on(tmp_path: Path, clock: Age) -> AsyncIterator[Registry]:
    async with registry(tmp_path, clock, lease=LEASE, quarantine=QUARANTINE, files=DawdlingFiles) as opened:
        yield opened


@pytest.mark.parametrize("collectors", [1, 2])
async def test_what_is_acknowledged_stays_while_reclaim_runs_and_the_rest_comes_back(
    on: Registry, clock: Age, collectors: int
) -> None:
    """With two collectors nobody keeps them from working at once: they do no harm, as after a lease that ran out."""
    race = Race(on, clock, seed=collectors)
    reclaims = [on.reclaim(f"holder {number}", batch=20) for number in range(collectors)]
    try:
        async with asyncio.timeout(100):
            await race.run(reclaims)
    except TimeoutError:
        raise AssertionError(
            f"not all of this was seen often enough: {race.counts}, {clock.now() - race.began}"
        ) from None
    for image, digest in sorted(race.ledger):
        await on.read_image(image, digest)

    await settle(on, clock, reclaims[0])
    for image, digest in sorted(race.ledger):
        await on.read_image(image, digest)
    files = await on.files()
    assert files == await on.files_named()

    for image, digest in sorted(race.ledger):
        await on.delete_manifest(image, digest)
    await settle(on, clock, reclaims[0])
    assert await on.files() == set()
    totals = await on.store.report(lambda reports: reports.totals())
    assert (totals.blobs, totals.condemned, totals.manifests) == (0, 0, 0)


async def settle(on: Registry, clock: Age, reclaim: Reclaim) -> None:
    """Lets everything go that may go: leases end, then quarantines."""
    for _ in range(3):
        await on.drain(reclaim)
        clock.advance(LEASE + SECOND)
    await on.drain(reclaim)
    found = await preview(on.store, clock)
    assert (found.blobs, found.leased) == (0, 0)
