"""When content was pulled, by image, digest and tag: the last instant, and how often on each of the last days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import apsw

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Reference, RepositoryName, Tag
from pierhead.domain.pull_days import added, day_of

COUNTED_SINCE = "pulls.since"
_IMAGE = "SELECT i.id FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=? WHERE r.name=?"


class _Moment(Protocol):
    now: int


class SqlitePulls:
    """Implements ``ports.metadata.pulls.PullCounts``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def add(self, counts: Mapping[tuple[RepositoryName, ImageName, Digest, Reference], int]) -> None:
        """A row is read and written again; what nobody holds under this name is counted nowhere."""
        now = self._moment.now
        images: dict[tuple[str, str], int | None] = {}
        for (repository, name, digest, reference), times in counts.items():
            place = (name, repository)
            if place not in images:
                found = self._execute(_IMAGE, place).get
                images[place] = found if isinstance(found, int) else None
            image = images[place]
            if image is None:
                continue
            key = (image, digest.raw, reference if isinstance(reference, Tag) else "")
            row = self._execute("SELECT last, days FROM pulls WHERE image_id=? AND digest=? AND tag=?", key).fetchone()
            last, ring = (now, b"") if row is None else row
            ring = added(ring, day_of(last), day_of(now), times)
            self._execute(
                """INSERT INTO pulls (image_id, digest, tag, last, days) VALUES (?,?,?,?,?)
                   ON CONFLICT DO UPDATE SET last=max(last, excluded.last), days=excluded.days""",
                (*key, now, ring),
            )

    def begin(self) -> int:
        """Kept with the installation's own values."""
        self._execute(
            "INSERT OR IGNORE INTO settings (name, value) VALUES (?,?)", (COUNTED_SINCE, str(self._moment.now))
        )
        found = self._execute("SELECT value FROM settings WHERE name=?", (COUNTED_SINCE,)).get
        assert isinstance(found, str)
        return int(found)
