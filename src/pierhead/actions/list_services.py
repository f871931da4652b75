"""The services of the catalogue with what is kept of each, and the images that stand in no line of it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Final

from msgspec import Struct

from pierhead.domain.access import Principal, Right
from pierhead.domain.catalogue import Service
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Judgement
from pierhead.ports.metadata.reports import Reports
from pierhead.ports.metadata.store import Store
from pierhead.ports.metadata.values import ImageRow
from pierhead.repositories.table import Entry, Table

_BATCH: Final = 100


class State(enum.Enum):
    """Of an entry of the list: in the catalogue and pushed, in it and not pushed, or pushed and not in it."""

    PUSHED = "pushed"
    MISSING = "missing"
    UNLISTED = "unlisted"


class ListedService(Struct, frozen=True):
    """``service`` is None for an image that belongs to none. ``kept`` has a row for each hosted repository that holds
    it, in the order of the configuration; ``judged`` is what a rule for names says of it."""

    service: Service | None
    image: ImageName
    kept: tuple[ImageRow, ...]
    judged: Judgement | None = None

    @property
    def state(self) -> State:
        """Which of the three it is."""
        if self.service is None:
            return State.UNLISTED
        return State.PUSHED if self.kept else State.MISSING


class ServicePlace(Struct, frozen=True):
    """What a page begins behind: a service of the catalogue, or an image without one (``service`` is empty then)."""

    service: str = ""
    image: str = ""


async def list_services(
    store: Store, table: Table, who: Principal, wanted: State | None, after: ServicePlace, limit: int
) -> tuple[Sequence[ListedService], ServicePlace | None]:
    """Up to ``limit`` entries, services first, in the order of the catalogue, then images without one, by name; and
    what the next page is behind. A service is shown to whom may pull or push its image; what is kept, as far as the
    account may pull it. Raises TimeoutError.
    """
    hosted = [entry for entry in table.entries.values() if entry.kind == "hosted"]

    def read(reports: Reports) -> list[ListedService]:
        found: list[ListedService] = []
        for one in _all(reports, table, hosted, who, wanted, after):
            if wanted in (None, one.state):
                found.append(one)
            if len(found) > limit:
                break
        return found

    found = await store.report(read)
    page = found[:limit]
    return page, _place(page[-1]) if len(found) > limit else None


def _place(last: ListedService) -> ServicePlace:
    return ServicePlace(image=last.image) if last.service is None else ServicePlace(service=last.service.name)


def _all(
    reports: Reports, table: Table, hosted: Sequence[Entry], who: Principal, wanted: State | None, after: ServicePlace
) -> Iterator[ListedService]:
    if not after.image and wanted is not State.UNLISTED:
        for service in _behind(list(table.naming.catalogue.values()), after.service):
            if any(_concerns(who, entry, service.image) for entry in hosted):
                kept = [
                    _row(reports, entry.name, service.image) for entry in hosted if _pulls(who, entry, service.image)
                ]
                yield ListedService(service, service.image, tuple(row for row in kept if row is not None))
    if wanted in (None, State.UNLISTED):
        yield from _unlisted(reports, table, hosted, who, after.image)


def _behind(services: Sequence[Service], name: str) -> Sequence[Service]:
    """All of them if the one that the page before ended with is in the catalogue no more."""
    at = next((at for at, one in enumerate(services) if one.name == name), -1)
    return services[at + 1 :]


def _concerns(who: Principal, entry: Entry, image: ImageName) -> bool:
    return _pulls(who, entry, image) or who.may(Right.PUSH, entry.name, image)


def _pulls(who: Principal, entry: Entry, image: ImageName) -> bool:
    return who.may(Right.PULL, entry.name, image)


def _row(reports: Reports, repository: RepositoryName, image: ImageName) -> ImageRow | None:
    """Of all names that begin so, the image's own comes first."""
    return next((row for row in reports.images(repository, image, "", 1) if row.name == image), None)


def _unlisted(
    reports: Reports, table: Table, hosted: Sequence[Entry], who: Principal, after: str
) -> Iterator[ListedService]:
    """Nothing is read that a page does not need: each repository is read in batches, side by side."""
    order = {entry.name: at for at, entry in enumerate(hosted)}
    seen = [entry for entry in hosted if who.may_somewhere(Right.PULL, entry.name)]
    rows = merge(*(_rows(reports, entry.name, after) for entry in seen), key=lambda row: row.name)
    for name, group in groupby(rows, key=lambda row: row.name):
        if table.naming.catalogue.of_image(name) is not None:
            continue
        kept = sorted(
            (row for row in group if who.may(Right.PULL, row.repository, name)), key=lambda row: order[row.repository]
        )
        if kept:
            judged = [table.say_of_name(who, table.entries[row.repository], name) for row in kept]
            yield ListedService(None, name, tuple(kept), next((one for one in judged if one is not None), None))


def _rows(reports: Reports, repository: RepositoryName, after: str) -> Iterator[ImageRow]:
    while True:
        batch = reports.images(repository, "", after, _BATCH)
        yield from batch
        if len(batch) < _BATCH:
            return
        after = batch[-1].name
