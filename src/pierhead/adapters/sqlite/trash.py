"""Manifests that were taken away and may come back, and where tags pointed before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import apsw

from pierhead.adapters.sqlite.manifests import forget_unheld
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.trash import Deleted, Thrown
from pierhead.ports.metadata.values import EventId, ImageId, ManifestId

# What went with the same event comes back with it, and so does what an index names that went later than its child.
_BACK: Final = """
WITH RECURSIVE back (manifest_id) AS (
    SELECT t.manifest_id FROM manifests m JOIN trash t ON t.manifest_id=m.id AND t.image_id=?1 WHERE m.digest=?2
    UNION
    SELECT o.manifest_id FROM back b JOIN trash t ON t.image_id=?1 AND t.manifest_id=b.manifest_id
    JOIN trash o ON o.image_id=?1 AND o.event=t.event
    UNION
    SELECT k.id FROM back b JOIN manifest_children c ON c.manifest_id=b.manifest_id
    JOIN manifests k ON k.digest=c.child JOIN trash t ON t.image_id=?1 AND t.manifest_id=k.id
) SELECT manifest_id FROM back
"""
DUE: Final = """
SELECT t.image_id, t.manifest_id, m.digest, r.name, i.name, t.deleted FROM trash t
JOIN manifests m ON m.id=t.manifest_id JOIN images i ON i.id=t.image_id JOIN repositories r ON r.id=i.repository_id
WHERE t.deleted<? ORDER BY t.deleted LIMIT ?
"""
# Intervals of tags that ended lately, and manifests in the trash that no such interval names. Of several intervals in
# which a tag pointed at the same bytes the last counts; one that points there again is not deleted.
DELETED: Final = """
WITH gone (id, tag, digest, at, event) AS (
    SELECT i.id, t.name, t.digest, max(t.until), t.ended FROM repositories r
    JOIN images i ON i.repository_id=r.id AND (?2 IS NULL OR i.name=?2)
    JOIN tags t ON t.image_id=i.id AND t.until>=?3
    WHERE r.name=?1 GROUP BY i.id, t.name, t.digest
    UNION ALL
    SELECT i.id, NULL, m.digest, t.deleted, t.event FROM repositories r
    JOIN images i ON i.repository_id=r.id AND (?2 IS NULL OR i.name=?2)
    JOIN trash t ON t.image_id=i.id AND t.deleted>=?3 AND t.root=1 JOIN manifests m ON m.id=t.manifest_id
    WHERE r.name=?1 AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.image_id=i.id AND g.digest=m.digest AND g.until>=?3)
)
SELECT i.name, g.tag, g.digest, g.at, coalesce(e.kind, ''), coalesce(e.account, ''),
       coalesce(e.body ->> '$.rule', ''), o.digest,
       (SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE b.id IN (
            SELECT x.blob_id FROM manifest_blobs x WHERE x.manifest_id=m.id
            UNION SELECT x.blob_id FROM manifest_children c JOIN manifests k ON k.digest=c.child
                  JOIN manifest_blobs x ON x.manifest_id=k.id WHERE c.manifest_id=m.id))
FROM gone g JOIN images i ON i.id=g.id JOIN manifests m ON m.digest=g.digest
LEFT JOIN events e ON e.seq=g.event LEFT JOIN tags o ON o.image_id=g.id AND o.name=g.tag AND o.until IS NULL
WHERE (o.digest IS NULL OR o.digest<>g.digest)
AND (EXISTS (SELECT 1 FROM manifest_links l WHERE l.image_id=g.id AND l.manifest_id=m.id)
     OR EXISTS (SELECT 1 FROM trash t WHERE t.image_id=g.id AND t.manifest_id=m.id))
AND (?4 IS NULL OR (g.at, i.name, coalesce(g.tag, '')) < (?4, ?5, ?6))
ORDER BY g.at DESC, i.name DESC, coalesce(g.tag, '') DESC LIMIT ?7
"""


class _Moment(Protocol):
    now: int


class SqliteTrash:
    """Implements ``ports.metadata.trash.Trash``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._moment = moment

    def throw(self, image: ImageId, manifests: Sequence[ManifestId], event: EventId) -> None:
        """A manifest that was brought back and is thrown away again is as old as this time."""
        for at, manifest in enumerate(manifests):
            self._execute("DELETE FROM referrers WHERE manifest_id=? AND image_id=?", (manifest, image))
            self._execute("DELETE FROM manifest_links WHERE image_id=? AND manifest_id=?", (image, manifest))
            self._execute(
                "INSERT OR REPLACE INTO trash (image_id, manifest_id, deleted, event, root) VALUES (?,?,?,?,?)",
                (image, manifest, self._moment.now, event, at == 0),
            )

    def find(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, EventId]:
        """One probe a digest."""
        found: dict[Digest, EventId] = {}
        for digest in digests:
            event = self._execute(
                "SELECT t.event FROM manifests m JOIN trash t ON t.manifest_id=m.id AND t.image_id=? WHERE m.digest=?",
                (image, digest.raw),
            ).get
            if isinstance(event, int):
                found[digest] = EventId(event)
        return found

    def take_back(self, image: ImageId, digest: Digest) -> Sequence[ManifestId]:
        """Links, referrer rows and blobs as a push would have made them, as of now."""
        rows = [ManifestId(row) for (row,) in self._execute(_BACK, (image, digest.raw))]
        for manifest in rows:
            self._execute("DELETE FROM trash WHERE image_id=? AND manifest_id=?", (image, manifest))
            self._execute(
                "INSERT OR IGNORE INTO manifest_links (image_id, manifest_id, created) VALUES (?,?,?)",
                (image, manifest, self._moment.now),
            )
            self._execute(
                """INSERT OR IGNORE INTO referrers (image_id, subject, artifact_type, manifest_id)
                   SELECT ?1, subject, artifact_type, id FROM manifests WHERE id=?2 AND subject IS NOT NULL""",
                (image, manifest),
            )
            self._execute(
                """INSERT OR IGNORE INTO blob_links (image_id, blob_id, created)
                   SELECT ?1, blob_id, ?3 FROM manifest_blobs WHERE manifest_id=?2""",
                (image, manifest, self._moment.now),
            )
        return rows

    def with_it(self, image: ImageId, digest: Digest) -> Sequence[ManifestId]:
        """By the event that threw it away; what others would go on needing has gone by another."""
        rows = self._execute(
            """SELECT o.manifest_id FROM manifests m JOIN trash t ON t.manifest_id=m.id AND t.image_id=?1
               JOIN trash o ON o.image_id=?1 AND o.event=t.event WHERE m.digest=?2 ORDER BY o.manifest_id<>m.id""",
            (image, digest.raw),
        )
        return [ManifestId(row) for (row,) in rows]

    def tags_of(self, image: ImageId, event: EventId) -> Sequence[tuple[Tag, Digest]]:
        """By name."""
        rows = self._execute(
            "SELECT name, digest FROM tags WHERE image_id=? AND until IS NOT NULL AND ended=? ORDER BY name",
            (image, event),
        )
        return [(Tag(name), Digest.from_raw(raw)) for name, raw in rows]

    def stood(self, image: ImageId, tag: Tag, digest: Digest | None) -> Digest | None:
        """Intervals that ended, and the one that stands."""
        if digest is not None:
            there = self._execute(
                """SELECT 1 FROM tags WHERE image_id=?1 AND name=?2 AND until IS NULL AND digest=?3 UNION ALL
                   SELECT 1 FROM tags WHERE image_id=?1 AND name=?2 AND until IS NOT NULL AND digest=?3 LIMIT 1""",
                (image, tag, digest.raw),
            ).fetchone()
            return None if there is None else digest
        raw = self._execute(
            """SELECT digest FROM tags WHERE image_id=? AND name=? AND until IS NOT NULL
               ORDER BY since DESC LIMIT 1""",
            (image, tag),
        ).get
        return None if raw is None else Digest.from_raw(raw)

    def due(self, before: int, limit: int) -> Sequence[Thrown]:
        """By the index of ages."""
        return [
            Thrown(
                ImageId(row[0]), ManifestId(row[1]), Digest.from_raw(row[2]), RepositoryName(row[3]),
                ImageName(row[4]), row[5],
            )
            for row in self._execute(DUE, (before, limit))
        ]  # fmt: skip

    def empty(self, image: ImageId, manifest: ManifestId) -> None:
        """The row, and the manifest if that was the last that held it."""
        self._execute("DELETE FROM trash WHERE image_id=? AND manifest_id=?", (image, manifest))
        forget_unheld(self._connection, manifest, image)


def deleted(
    connection: apsw.Connection,
    repository: RepositoryName,
    image: ImageName | None,
    since: int,
    behind: tuple[int, str, str] | None,
    limit: int,
) -> Sequence[Deleted]:
    """See ``ports.metadata.reports.Reports.deleted``."""
    at, name, tag = behind if behind is not None else (None, None, None)
    rows = connection.execute(DELETED, (repository, image, since, at, name, tag, limit))
    return [
        Deleted(
            repository, ImageName(row[0]), None if row[1] is None else Tag(row[1]), Digest.from_raw(row[2]), row[3],
            row[4], row[5], row[6], None if row[7] is None else Digest.from_raw(row[7]), row[8],
        )
        for row in rows
    ]  # fmt: skip
