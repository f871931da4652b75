"""What the board asks. Tags of an image are walked by the index ``tags_latest``, newest first, until the first that may
stand in a stage; nothing is sorted, and nothing is counted beyond what is shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import apsw

from pierhead.adapters.sqlite.blobs import blob_row
from pierhead.domain.board import BoardRules, Standing
from pierhead.domain.build_cache import CACHE_CONFIG, NAMED_GLOBS
from pierhead.domain.digest import Digest
from pierhead.domain.manifest import DOCKER_LIST, OCI_INDEX
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.provenance import Seen, seen_of
from pierhead.ports.metadata.board import Arrival
from pierhead.ports.metadata.values import BlobRow

_IMAGE: Final = """
(SELECT i.id FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=?2 WHERE r.name=?1)
"""
# BuildKit's cache by its content (``domain.build_cache``): a manifest with this config, or an index that lists it.
_IS_CACHE: Final = f"""
(m.artifact_type='{CACHE_CONFIG}' OR (m.media_type IN ('{OCI_INDEX}', '{DOCKER_LIST}') AND EXISTS
 (SELECT 1 FROM manifest_bodies b WHERE b.manifest_id=m.id AND instr(b.body, CAST('"{CACHE_CONFIG}"' AS BLOB))>0)))
"""
# By its tag alone; the first condition spares the others for nearly every tag.
_IS_NAMED_CACHE: Final = f"""
(t.name GLOB '*cache*' AND ({" OR ".join(f"t.name GLOB '{glob}'" for glob in NAMED_GLOBS)}))
"""


def candidates(patterns: int) -> str:
    """The statement for so many patterns of tags that are passed over; they are bound from ?4 on."""
    return f"""
SELECT t.name, t.digest, m.media_type, t.since, t.account, t.event
FROM tags t CROSS JOIN manifests m ON m.id=t.manifest_id
WHERE t.image_id={_IMAGE} AND t.until IS NULL {_unmet("t.name", patterns, 4)}
AND NOT {_IS_NAMED_CACHE} AND NOT {_IS_CACHE}
ORDER BY t.since DESC, t.id DESC LIMIT ?3
"""


def newer(patterns: int) -> str:
    """The same; bound from ?5 on."""
    return f"""
SELECT count(DISTINCT digest) FROM (
    SELECT t.digest FROM tags t CROSS JOIN manifests m ON m.id=t.manifest_id
    WHERE t.image_id={_IMAGE} AND t.until IS NULL AND t.since>?3 {_unmet("t.name", patterns, 5)}
    AND NOT {_IS_NAMED_CACHE} AND NOT {_IS_CACHE}
    ORDER BY t.since DESC LIMIT ?4)
"""


def arrival(patterns: int) -> str:
    """The same; bound from ?4 on. The oldest tag knows who brought the bytes, the newest counts for the order; sorted
    without the index by time, which would walk every tag of the image."""
    return f"""
SELECT t.since, t.event FROM manifests m CROSS JOIN tags t ON t.manifest_id=m.id
AND t.image_id={_IMAGE} AND t.until IS NULL WHERE m.digest=?3 {_unmet("t.name", patterns, 4)} ORDER BY +t.since
"""


def _unmet(column: str, patterns: int, first: int) -> str:
    return "".join(f" AND {column} NOT GLOB ?{first + at}" for at in range(patterns))


_EVERY: Final = BoardRules(frozenset(), ())
_THROUGH: Final = "SELECT body -> '$.through' FROM events WHERE seq=?"
_EVENTS_READ: Final = 3
"""Of the oldest tags of some bytes, in search of the job that built them."""

IMAGES: Final = """
SELECT DISTINCT i.name FROM repositories r JOIN images i ON i.repository_id=r.id
WHERE r.name=?1 AND i.name>?2 AND EXISTS (SELECT 1 FROM tags t WHERE t.image_id=i.id AND t.until IS NULL)
ORDER BY i.name LIMIT ?3
"""
POINTING: Final = f"SELECT t.digest, t.since FROM tags t WHERE t.image_id={_IMAGE} AND t.name=?3 AND t.until IS NULL"
_BLOB: Final = f"""
SELECT b.id, b.digest, b.size, b.state, b.generation, b.body FROM blobs b
JOIN blob_links l ON l.blob_id=b.id AND l.image_id={_IMAGE} WHERE b.digest=?3 AND b.state IN (1, 2)
"""


class SqliteBoard:
    """Implements ``ports.metadata.board.BoardReports``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def images(self, repositories: Collection[RepositoryName], after: str, limit: int) -> Sequence[ImageName]:
        """A page of each repository holds the page of all."""
        found = {name for one in repositories for (name,) in self._execute(IMAGES, (one, after, limit))}
        return [ImageName(name) for name in sorted(found)[:limit]]

    def candidates(
        self, repository: RepositoryName, image: ImageName, rules: BoardRules, limit: int
    ) -> Sequence[Standing]:
        """See the port."""
        over = rules.passed_over
        rows = self._execute(candidates(len(over)), (repository, image, limit, *over))
        found: list[Any] = rows.fetchall()
        # Only what may be shown as standing is asked who brought it.
        return [
            Standing(
                Tag(r[0]), Digest.from_raw(r[1]), r[2], r[3], r[4], self._seen(r[5]) if r[1] == found[0][1] else Seen()
            )
            for r in found
        ]

    def newer(self, repository: RepositoryName, image: ImageName, rules: BoardRules, than: int, most: int) -> int:
        """See the port. Several tags of one digest use the bound up together."""
        over = rules.passed_over
        found = self._execute(newer(len(over)), (repository, image, than, most, *over)).get
        return int(found) if isinstance(found, int) else 0

    def arrival(
        self, repository: RepositoryName, image: ImageName, rules: BoardRules, digest: Digest
    ) -> Arrival | None:
        """See the port."""
        over = rules.passed_over
        rows: list[Any] = self._execute(arrival(len(over)), (repository, image, digest.raw, *over)).fetchall()
        if not rows:
            return None
        seen = next((one for row in rows[:_EVENTS_READ] if (one := self._seen(row[1])).job), Seen())
        return Arrival(rows[-1][0], seen)

    def brought(self, repository: RepositoryName, image: ImageName, digest: Digest) -> Seen | None:
        """As an arrival under any tag."""
        found = self.arrival(repository, image, _EVERY, digest)
        return None if found is None else found.seen

    def pointing(
        self, repository: RepositoryName, image: ImageName, names: Collection[str]
    ) -> Mapping[Tag, tuple[Digest, int]]:
        """One probe of the index a name."""
        found: dict[Tag, tuple[Digest, int]] = {}
        for name in names:
            row = self._execute(POINTING, (repository, image, name)).fetchone()
            if row is not None:
                found[Tag(name)] = (Digest.from_raw(row[0]), row[1])
        return found

    def blob(self, repository: RepositoryName, image: ImageName, digest: Digest) -> BlobRow | None:
        """See the port."""
        row = self._execute(_BLOB, (repository, image, digest.raw)).fetchone()
        return None if row is None else blob_row(row)

    def _seen(self, event: int) -> Seen:
        """What the event keeps of the login; an old one may keep nothing."""
        text = self._execute(_THROUGH, (event,)).get
        return seen_of(json.loads(text)) if isinstance(text, str) else Seen()
