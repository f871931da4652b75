"""What lists, status and jobs ask, over one snapshot in a worker thread."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import apsw

from pierhead.adapters.sqlite import record
from pierhead.adapters.sqlite.accounts import ACCESS_TOKENS, USES, read_people, token_row
from pierhead.adapters.sqlite.blobs import blob_row
from pierhead.adapters.sqlite.expiry import SqliteExpiry
from pierhead.adapters.sqlite.one import one
from pierhead.adapters.sqlite.promotions import ANY_DUE, held_of, pointers_of, promotion_of, promotions_of
from pierhead.adapters.sqlite.refreshes import refresh_of, refreshes_of
from pierhead.adapters.sqlite.repositories import ROWS, repository_row
from pierhead.adapters.sqlite.running import SqliteRunningReports
from pierhead.adapters.sqlite.sessions import sessions_of
from pierhead.adapters.sqlite.trash import deleted
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.accounts import AccessTokenRow, People, Use
from pierhead.ports.metadata.audit import EventFilter, EventRow, RecordHead
from pierhead.ports.metadata.promotions import Held, PointerRow, PromotionId, PromotionRow, Vote
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.trash import Deleted
from pierhead.ports.metadata.values import (
    BlobId,
    BlobRow,
    BlobState,
    ImageRow,
    ManifestId,
    Reclaimable,
    RefreshRow,
    RepositoryRow,
    StoredManifest,
    TagInterval,
    TagRow,
    Totals,
    Waiting,
)

if TYPE_CHECKING:
    from pierhead.adapters.sqlite.board import SqliteBoard

# The open interval stands in one index, the closed ones in another, and no index has both.
HISTORY = """
WITH image AS (SELECT i.id FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=?2 WHERE r.name=?1)
SELECT h.digest, h.since, h.until, h.account, h.once, coalesce(b.kind, ''), b.body ->> '$.through',
       coalesce(e.kind, ''), coalesce(e.account, '') FROM (
    SELECT t.digest, t.since, t.until, t.account, t.once, t.event, t.ended FROM image JOIN tags t
    ON t.image_id=image.id AND t.name=?3 AND t.until IS NULL
    UNION ALL
    SELECT * FROM (SELECT t.digest, t.since, t.until, t.account, t.once, t.event, t.ended FROM image JOIN tags t
                   ON t.image_id=image.id AND t.name=?3 AND t.until IS NOT NULL ORDER BY t.since DESC LIMIT ?4)
) h LEFT JOIN events b ON b.seq=h.event LEFT JOIN events e ON e.seq=h.ended ORDER BY h.since DESC LIMIT ?4
"""
_WAITING = """
WITH waiting AS MATERIALIZED (
    SELECT b.id, b.size, b.state, q.review,
           (SELECT max(l.until) FROM leases l WHERE l.blob_id=b.id AND l.until>?1) AS until
    FROM gc_queue q CROSS JOIN blobs b ON b.id=q.blob_id
    WHERE b.state<>0 AND NOT EXISTS (SELECT 1 FROM manifest_blobs m WHERE m.blob_id=b.id)
)
"""
_WAITING_SUMS = """
    count(*) FILTER (WHERE until IS NULL), coalesce(sum(size) FILTER (WHERE until IS NULL), 0),
    count(*) FILTER (WHERE until IS NULL AND state>1), coalesce(sum(size) FILTER (WHERE until IS NULL AND state>1), 0),
    count(until), coalesce(sum(size) FILTER (WHERE until IS NOT NULL), 0), max(until)
"""
# Above every character of a name or tag.
_LAST = "\x7f"
_TAGS = """
SELECT t.name, m.digest, m.media_type, m.size, t.since, t.account,
       (SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE b.id IN (
            SELECT x.blob_id FROM manifest_blobs x WHERE x.manifest_id=m.id
            UNION SELECT x.blob_id FROM manifest_children c JOIN manifests k ON k.digest=c.child
                  JOIN manifest_blobs x ON x.manifest_id=k.id WHERE c.manifest_id=m.id)),
       (SELECT max(p.last) FROM pulls p WHERE p.image_id=i.id AND p.digest=m.digest AND p.tag IN ('', t.name))
FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=?1
JOIN tags t ON t.image_id=i.id AND t.until IS NULL AND t.name>?2 AND t.name>=?5 AND t.name<?6
JOIN manifests m ON m.id=t.manifest_id WHERE r.name=?3 ORDER BY t.name LIMIT ?4
"""


class SqliteReports:
    """Implements ``ports.metadata.reports.Reports``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self.expiry = SqliteExpiry(connection)
        self.running = SqliteRunningReports(connection)

    @property
    def board(self) -> SqliteBoard:
        """See the port. Imported when somebody looks at a board: the start waits for the rest of this module."""
        from pierhead.adapters.sqlite.board import SqliteBoard

        return SqliteBoard(self._connection)

    def totals(self) -> Totals:
        """Counts over everything."""
        row = one(
            self._execute(
                """SELECT (SELECT count(*) FROM repositories), (SELECT count(*) FROM images),
                      (SELECT count(*) FROM tags WHERE until IS NULL), (SELECT count(*) FROM manifests),
                      (SELECT count(*) FROM blobs WHERE state=1),
                      (SELECT coalesce(sum(size),0) FROM blobs WHERE state=1),
                      (SELECT count(*) FROM uploads WHERE digest IS NULL),
                      (SELECT count(*) FROM blobs WHERE state>1),
                      (SELECT coalesce(sum(size),0) FROM blobs WHERE state>1)"""
            )
        )
        return Totals(*row)

    def images(self, repository: RepositoryName, prefix: str, after: str, limit: int) -> Sequence[ImageRow]:
        """Images that hold something, with their tags counted and the last push."""
        rows = self._execute(
            """SELECT i.name, (SELECT count(*) FROM tags t WHERE t.image_id=i.id AND t.until IS NULL),
                      (SELECT max(since) FROM tags t WHERE t.image_id=i.id AND t.until IS NULL)
               FROM images i JOIN repositories r ON r.id=i.repository_id
               WHERE r.name=?1 AND i.name>?2 AND i.name>=?3 AND i.name<?5
                 AND EXISTS (SELECT 1 FROM manifest_links l WHERE l.image_id=i.id)
               ORDER BY i.name LIMIT ?4""",
            (repository, after, prefix, limit, prefix + _LAST),
        )
        return [ImageRow(repository, ImageName(name), tags, pushed) for name, tags, pushed in rows]

    def tags(
        self, repository: RepositoryName, image: ImageName, after: str, limit: int, prefix: str = ""
    ) -> Sequence[TagRow]:
        """Open tags by name."""
        rows = self._execute(_TAGS, (image, after, repository, limit, prefix, prefix + _LAST))
        return [TagRow(Tag(r[0]), Digest.from_raw(r[1]), r[2], r[3], r[4], r[5], r[6], r[7]) for r in rows]

    def deleted(
        self,
        repository: RepositoryName,
        image: ImageName | None,
        since: int,
        behind: tuple[int, str, str] | None,
        limit: int,
    ) -> Sequence[Deleted]:
        """See the port."""
        return deleted(self._connection, repository, image, since, behind, limit)

    def tags_of(self, repository: RepositoryName, image: ImageName, digest: Digest, limit: int) -> Sequence[Tag]:
        """By name."""
        rows = self._execute(
            """SELECT t.name FROM manifests m JOIN tags t ON t.manifest_id=m.id AND t.until IS NULL
               JOIN images i ON i.id=t.image_id AND i.name=? JOIN repositories r ON r.id=i.repository_id AND r.name=?
               WHERE m.digest=? ORDER BY t.name LIMIT ?""",
            (image, repository, digest.raw, limit),
        )
        return [Tag(name) for (name,) in rows]

    def manifest(self, repository: RepositoryName, image: ImageName, digest: Digest) -> StoredManifest | None:
        """With its bytes."""
        row = self._execute(
            """SELECT m.id, m.media_type, m.artifact_type, b.body, m.subject FROM manifests m
               JOIN manifest_bodies b ON b.manifest_id=m.id JOIN manifest_links l ON l.manifest_id=m.id
               JOIN images i ON i.id=l.image_id AND i.name=? JOIN repositories r ON r.id=i.repository_id AND r.name=?
               WHERE m.digest=?""",
            (image, repository, digest.raw),
        ).fetchone()
        if row is None:
            return None
        subject = None if row[4] is None else Digest.from_raw(row[4])
        return StoredManifest(ManifestId(row[0]), digest, row[1], row[2], row[3], subject)

    def repositories(self) -> Mapping[RepositoryName, RepositoryRow]:
        """All rows."""
        rows = map(repository_row, self._execute(ROWS))
        return {row.name: row for row in rows}

    def note(self, name: str) -> str | None:
        """One value."""
        found = self._execute("SELECT value FROM settings WHERE name=?", (name,)).get
        return found if isinstance(found, str) else None

    def sessions(self, account: str) -> Sequence[SessionRow]:
        """See the port."""
        return sessions_of(self._execute, account)

    def refresh(self, mark: bytes) -> RefreshRow | None:
        """The refresh token of this mark."""
        return refresh_of(self._connection, mark)

    def refreshes(self, account: str) -> Sequence[RefreshRow]:
        """An account's refresh tokens."""
        return refreshes_of(self._connection, account)

    def history(self, repository: RepositoryName, image: ImageName, tag: Tag, limit: int) -> Sequence[TagInterval]:
        """Where the tag pointed, newest first."""
        rows = self._execute(
            HISTORY,
            (repository, image, tag, limit),
        )
        return [
            TagInterval(
                Digest.from_raw(r[0]), r[1], r[2], r[3], bool(r[4]), r[5], json.loads(r[6]) if r[6] else {}, r[7], r[8]
            )
            for r in rows
        ]

    def promotion(self, promotion: PromotionId) -> tuple[PromotionRow, Sequence[Vote]] | None:
        """See the port."""
        return promotion_of(self._connection, promotion)

    def promotions(
        self, before: PromotionId | None, limit: int, *, state: str = "", image: str = "", stage: str = ""
    ) -> Sequence[PromotionRow]:
        """See the port."""
        return promotions_of(self._connection, before, limit, state, image, stage)

    def promotions_due(self, now: int) -> bool:
        """By the index of those that wait."""
        return self._execute(ANY_DUE, (now,)).fetchone() is not None

    def held(self, repository: RepositoryName, images: Collection[ImageName] | None = None) -> Mapping[ImageName, Held]:
        """See the port."""
        return held_of(self._connection, repository, images)

    def pointers(self, repository: RepositoryName, image: ImageName, limit: int) -> Sequence[PointerRow]:
        """See the port."""
        return pointers_of(self._connection, repository, image, limit)

    def repository_sizes(self) -> Sequence[tuple[RepositoryName, int, int]]:
        """A blob that several images of one repository share counts once there."""
        rows = self._execute(
            """SELECT r.name, (SELECT count(*) FROM images i WHERE i.repository_id=r.id
                               AND EXISTS (SELECT 1 FROM manifest_links l WHERE l.image_id=i.id)),
                      coalesce((SELECT sum(size) FROM blobs WHERE state=1 AND id IN
                       (SELECT l.blob_id FROM images i JOIN blob_links l ON l.image_id=i.id
                        WHERE i.repository_id=r.id)),0)
               FROM repositories r ORDER BY r.name"""
        )
        return [(RepositoryName(name), images, size) for name, images, size in rows]

    def reclaimable(self, now: int, sample: int) -> Reclaimable:
        """Reads the review queue, where every blob stands that no manifest names; the rest may be millions."""
        row = one(self._execute(f"{_WAITING} SELECT {_WAITING_SUMS} FROM waiting", (now,)))
        rows = self._execute(
            f"""{_WAITING} SELECT b.digest, b.size, b.state, w.review FROM waiting w JOIN blobs b ON b.id=w.id
                WHERE w.until IS NULL ORDER BY b.size DESC LIMIT ?2""",
            (now, sample),
        )
        largest = tuple(Waiting(Digest.from_raw(r[0]), r[1], BlobState(r[2]), r[3]) for r in rows)
        blobs, size, condemned, condemned_size, leased, leased_size, until = row
        return Reclaimable(blobs, size, condemned, condemned_size, leased, leased_size, until, largest)

    def kept_blobs(self, after: BlobId, limit: int) -> Sequence[tuple[BlobRow, int]]:
        """By primary key, so that a walk over all costs no index."""
        rows = self._execute(
            """SELECT id, digest, size, state, generation, body, verified FROM blobs
               WHERE id>? AND state IN (1, 2) ORDER BY id LIMIT ?""",
            (after, limit),
        )
        return [(blob_row(row[:6]), row[6]) for row in rows]

    def holders(self, blob: BlobId, limit: int) -> Sequence[tuple[RepositoryName, ImageName]]:
        """By the index of links by blob."""
        rows = self._execute(
            """SELECT r.name, i.name FROM blob_links l JOIN images i ON i.id=l.image_id
               JOIN repositories r ON r.id=i.repository_id WHERE l.blob_id=? LIMIT ?""",
            (blob, limit),
        )
        return [(RepositoryName(repository), ImageName(image)) for repository, image in rows]

    def stored(self, digests: Collection[Digest]) -> Collection[tuple[Digest, str]]:
        """Rows of any state: what is being deleted is somebody's already."""
        found: set[tuple[Digest, str]] = set()
        for digest in digests:
            generation = self._execute("SELECT generation FROM blobs WHERE digest=?", (digest.raw,)).get
            if isinstance(generation, str):
                found.add((digest, generation))
        return found

    def people(self, since: int) -> People:
        """See the port."""
        return read_people(self._connection, since)

    def access_tokens(self, account: str) -> Sequence[AccessTokenRow]:
        """See the port."""
        return [token_row(row) for row in self._execute(ACCESS_TOKENS, (account,))]

    def uses(self, account: str) -> Sequence[Use]:
        """See the port."""
        return [Use(*row) for row in self._execute(USES, (account,))]

    def events(self, wanted: EventFilter, before: int | None, limit: int) -> Sequence[EventRow]:
        """See ``record``."""
        return record.newest(self._execute, wanted, before, limit)

    def events_after(self, wanted: EventFilter, after: int, limit: int) -> tuple[Sequence[EventRow], int]:
        """See ``record``."""
        return record.following(self._execute, wanted, after, limit)

    def record_head(self) -> RecordHead:
        """One row of the table's own order."""
        return record.head(self._execute)
