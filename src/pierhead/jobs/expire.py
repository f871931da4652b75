"""Expiry: a plan that argues its case, and its being carried out in small transactions.

The plan is made over snapshots, an image at a time, and changes nothing. Each removal is decided again in the
transaction that makes it, so a plan may be old: what was pulled, pushed, promoted or restored meanwhile stays.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from pierhead.commits.expiry import Expiring, Removal, expire
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Expired, Rules, TagFacts, broken, broken_untagged, expired, last_use
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.pull_days import SHOWN, day_of
from pierhead.domain.refusals import Unavailable
from pierhead.jobs.loop import Failed, Idle, Outcome, Worked
from pierhead.ports.clock import Clock
from pierhead.ports.metadata.expiry import ExpiryFacts, ImageFacts, Untagged
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store, Tx
from pierhead.ports.metadata.values import ImageId, ManifestId, RepositoryRow

T = TypeVar("T")

JOB: Final = "expire"
LAST: Final = "expiry.last"
CACHES: Final = "build caches beyond their bytes"


class Reading(Protocol):
    """What a plan is made over."""

    def report(self, fn: Callable[[Reports], T]) -> Awaitable[T]: ...


class Planned(Struct, frozen=True):
    """``size``: bytes that only this removal frees. ``stays``: why the manifest stays although the tag goes, "" if it
    goes. ``guarded``: why nothing of it may go, in spite of the rule. ``days``: pulls of the last 90 days by day."""

    removal: Removal
    why: str
    since: int
    pulled: int | None
    days: Mapping[int, int]
    manifests: tuple[ManifestId, ...] = ()
    size: int = 0
    stays: str = ""
    guarded: str = ""


class Pull(Struct, frozen=True):
    """Pulls on one day that would have found nothing under these rules."""

    repository: RepositoryName
    image: ImageName
    reference: Tag | Digest
    rule: str
    day: int
    times: int


class Plan(Struct, frozen=True):
    """``size``: bytes that all removals free together. ``counted``: since when pulls are known, None if not yet."""

    going: Sequence[Planned]
    guarded: Sequence[Planned]
    broken: Sequence[Pull]
    size: int
    at: int
    counted: int | None


async def plan(store: Reading, rules: Mapping[RepositoryName, Rules], at: int) -> Plan:
    """What the rules take away as things stand. Changes nothing. Raises TimeoutError."""
    rows = await store.report(lambda reports: reports.repositories())
    counted = await store.report(lambda reports: reports.expiry.counted())
    found: list[Planned] = []
    pulls: list[Pull] = []
    for name, its in rules.items():
        if name in rows and (its.rules or its.cache_bytes is not None):
            one = _Repository(rows[name], its, at, at if counted is None else counted)
            await one.look(store)
            found += await _with_islands(store, one.planned)
            pulls += one.broken
    going = [one for one in found if not one.guarded]
    held = [(one.removal.image, manifest) for one in going for manifest in one.manifests]
    size = await store.report(lambda reports: reports.expiry.freed(held))
    return Plan(going, [one for one in found if one.guarded], pulls, size, at, counted)


async def _with_islands(store: Reading, planned: Sequence[Planned]) -> list[Planned]:
    found: list[Planned] = []
    for begin in range(0, len(planned), limits.EXPIRY_PLANNED_PER_REPORT):
        part = planned[begin : begin + limits.EXPIRY_PLANNED_PER_REPORT]
        found += await store.report(lambda reports, part=part: [_island(reports.expiry, one) for one in part])  # type: ignore[misc]
    return found


def _island(facts: ExpiryFacts, one: Planned) -> Planned:
    removal = one.removal
    island = facts.island(removal.image, removal.digest, removal.tag)
    size = facts.freed([(removal.image, manifest) for manifest in island.manifests])
    return replace(one, manifests=tuple(island.manifests), size=size, stays=island.because, guarded=island.guarded)


class _Repository:
    """The plan of one repository while it is being made."""

    def __init__(self, row: RepositoryRow, rules: Rules, at: int, counted: int) -> None:
        self.planned: list[Planned] = []
        self.broken: list[Pull] = []
        self._row = row
        self._rules = rules
        self._at = at
        self._counted = counted
        self._first = day_of(at) - SHOWN
        self._caches: list[tuple[Planned, Mapping[int, int]]] = []

    async def look(self, store: Reading) -> None:
        """An image at a time, so that no snapshot is held for long."""
        for image, name in await store.report(lambda reports: reports.expiry.images(self._row.name)):
            await store.report(lambda reports, i=image, n=name: self._image(reports.expiry, i, n))  # type: ignore[misc]
        self._cap()

    def _image(self, reading: ExpiryFacts, image: ImageId, name: ImageName) -> None:
        facts = reading.facts(image, name)
        for one in expired(self._rules, name, facts.tags, self._at, self._counted):
            self.planned.append(self._tag(facts, one))
        self.broken += [
            Pull(self._row.name, name, one.tag, str(one.rule), one.day, one.times)
            for one in broken(self._rules, name, facts.tags, self._counted)
            if one.day > self._first
        ]
        self._untagged(facts)
        if self._rules.cache_bytes is not None:
            for tag in facts.tags:
                if tag.cache and not tag.once:
                    self._cache(reading, facts, tag.tag, tag.digest, tag)
            for loose in facts.untagged:
                if loose.cache:
                    as_tag = TagFacts(Tag(""), loose.digest, loose.since, loose.pulled, loose.days)
                    self._cache(reading, facts, None, loose.digest, as_tag)

    def _tag(self, facts: ImageFacts, one: Expired) -> Planned:
        tag = one.facts
        removal = Removal(
            self._row.id, self._row.name, facts.image, facts.name, tag.tag, tag.digest, one.rule, str(one.rule), 0
        )
        return Planned(removal, one.why, tag.since, tag.pulled, tag.days)

    def _untagged(self, facts: ImageFacts) -> None:
        rule = next((r for r in self._rules.rules if r.untagged is not None and r.images.meets(facts.name)), None)
        if rule is None or rule.untagged is None:
            return
        place = (self._row.id, self._row.name, facts.image, facts.name)
        for one in facts.untagged:
            if one.cache:
                continue
            self.broken += [
                Pull(self._row.name, facts.name, one.digest, str(rule), day, times)
                for day, times in broken_untagged(rule.untagged, one.since, one.days, self._counted)
                if day > self._first
            ]
            if max(one.since, one.pulled or 0, self._counted) + rule.untagged < self._at:
                removal = Removal(*place, None, one.digest, rule, str(rule), 0)
                self.planned.append(Planned(removal, _words_of(one), one.since, one.pulled, one.days))

    def _cache(self, reading: ExpiryFacts, facts: ImageFacts, tag: Tag | None, digest: Digest, one: TagFacts) -> None:
        used = last_use(one, 0)
        removal = Removal(self._row.id, self._row.name, facts.image, facts.name, tag, digest, None, CACHES, used)
        planned = Planned(removal, "least recently used", one.since, one.pulled, one.days)
        self._caches.append((planned, reading.blobs_below(digest)))

    def _cap(self) -> None:
        """The least recently used caches go until what is left fits."""
        if self._rules.cache_bytes is None:
            return
        users: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for _, blobs in self._caches:
            for blob, size in blobs.items():
                users[blob] = users.get(blob, 0) + 1
                sizes[blob] = size
        total = sum(sizes.values())
        for one, blobs in sorted(self._caches, key=lambda pair: pair[0].removal.used):
            if total <= self._rules.cache_bytes:
                break
            self.planned.append(one)
            for blob in blobs:
                users[blob] -= 1
                total -= sizes[blob] if not users[blob] else 0


def _words_of(one: Untagged) -> str:
    return "never pulled" if one.pulled is None else "last pulled long ago"


class Done(Struct, frozen=True):
    """What a run did: removals, and those that had to stay after all."""

    removed: int
    stayed: int
    left: int = 0


class Expiry(Struct):
    """The rules in force, for the loop and for whoever asks. One process carries out at a time; ``holder`` is this
    one's name. ``keep``, ``lease`` and ``every`` in microseconds. ``before`` writes what was pulled and is not yet
    known."""

    store: Store
    clock: Clock
    holder: str
    rules: Mapping[RepositoryName, Rules]
    keep: int
    lease: int
    every: int
    before: Callable[[], Awaitable[Outcome]]
    term: int = limits.JOB_TERM_SECONDS * 1_000_000
    _queue: list[Removal] = field(default_factory=list)
    _counted: int = 0

    async def plan(self) -> Plan:
        """A dry run. Raises TimeoutError."""
        await self.before()
        return await plan(self.store, self.rules, self.clock.now())

    async def run(self, most: int) -> tuple[Plan, Done]:
        """Plans and carries out up to ``most`` removals, now. Raises TimeoutError, Unavailable."""
        made = await self.plan()
        removals = [one.removal for one in made.going]
        removed = stayed = 0
        counted = made.at if made.counted is None else made.counted
        for begin in range(0, min(most, len(removals)), limits.EXPIRY_ROWS_PER_STEP):
            batch = removals[begin : begin + limits.EXPIRY_ROWS_PER_STEP]
            went = await self.store.write(lambda tx, batch=batch: self._expire(tx, batch, counted), vital=True)  # type: ignore[misc]
            removed += went
            stayed += len(batch) - went
        done = Done(removed, stayed, len(removals) - removed - stayed)
        await self.store.write(lambda tx: self._told(tx, done), vital=True)
        return made, done

    async def __call__(self) -> Outcome:
        """A step of the loop: now and then a plan, then a small transaction at a time."""
        try:
            if not self._queue:
                # Asked before anything is written: a disk that is full has no room for that.
                if not self.rules or not self._is_due(await self.store.lookups.note(LAST), self.clock.now()):
                    return Idle()
                if not await self.store.write(self._is_time, durable=False, vital=True):
                    return Idle()
                made = await self.plan()
                self._counted = made.at if made.counted is None else made.counted
                self._queue = [one.removal for one in made.going]
                if not self._queue:
                    return Idle()
            batch = self._queue[: limits.EXPIRY_ROWS_PER_STEP]
            went = await self.store.write(lambda tx: self._expire(tx, batch, self._counted), vital=True)
        except Unavailable as failure:
            return Failed(failure.message)
        except TimeoutError:
            return Failed("to look at an image took longer than five seconds")
        del self._queue[: len(batch)]
        if not went:
            return Worked("what had to go stays after all", more=True) if self._queue else Idle()
        return Worked(f"{went} removed by rules of expiry", more=bool(self._queue))

    def _is_due(self, told: str | None, now: int) -> bool:
        return told is None or now >= int(json.loads(told)["at"]) + self.every

    def _is_time(self, tx: Tx) -> bool:
        if not tx.jobs.take(JOB, self.holder, tx.now + self.term) or not self._is_due(tx.notes.get(LAST), tx.now):
            return False
        self._told(tx, Done(0, 0))
        return True

    def _told(self, tx: Tx, done: Done) -> None:
        tx.notes.put(LAST, json.dumps({"at": tx.now, "removed": done.removed, "stayed": done.stayed}))

    def _expire(self, tx: Tx, batch: Sequence[Removal], counted: int) -> int:
        went = 0
        for removal in batch:
            rules = self.rules.get(removal.name)
            if rules is not None and expire(tx, removal, Expiring(rules, self.keep, self.lease, counted)):
                went += 1
        return went
