"""Blobs: what the store knows of each digest, who was given it, and its way out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.domain.digest import Digest
from pierhead.ports.metadata.values import BlobId, BlobRow, BlobState, ImageId

_COLUMNS = "b.id, b.digest, b.size, b.state, b.generation"

DUE = f"""
SELECT {_COLUMNS} FROM gc_queue q JOIN blobs b ON b.id=q.blob_id
WHERE q.review<=? AND b.state<3 ORDER BY q.review LIMIT ?
"""
# The index is of state > 1; SQLite does not see by itself that 3 is.
DELETING = f"SELECT {_COLUMNS} FROM blobs b WHERE b.state>1 AND b.state=3 ORDER BY b.id LIMIT ?"


class _Moment(Protocol):
    now: int


def blob_row(row: Sequence[Any]) -> BlobRow:
    """From ``id, digest, size, state, generation`` and, if selected, ``body``."""
    return BlobRow(
        BlobId(row[0]), Digest.from_raw(row[1]), row[2], BlobState(row[3]), row[4], row[5] if len(row) > 5 else None
    )


class SqliteBlobs:
    """Implements ``ports.metadata.store.Blobs``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._moment = moment

    def rows(self, digests: Collection[Digest]) -> Mapping[Digest, BlobRow]:
        """Whatever image holds them, in any state."""
        found: dict[Digest, BlobRow] = {}
        for digest in digests:
            row = self._execute(f"SELECT {_COLUMNS} FROM blobs b WHERE b.digest=?", (digest.raw,)).fetchone()
            if row is not None:
                found[digest] = blob_row(row)
        return found

    def linked(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, BlobRow]:
        """Those that the image was given and that are still to be had."""
        found: dict[Digest, BlobRow] = {}
        for digest in digests:
            row = self._execute(
                f"""SELECT {_COLUMNS} FROM blobs b JOIN blob_links l ON l.blob_id=b.id AND l.image_id=?
                    WHERE b.digest=? AND b.state IN (1, 2)""",
                (image, digest.raw),
            ).fetchone()
            if row is not None:
                found[digest] = blob_row(row)
        return found

    def land(self, digest: Digest, size: int, generation: str, body: bytes | None) -> tuple[BlobId, str]:
        """The new bytes take the place of what was there, whatever its state."""
        raw = digest.raw
        before = self._execute("SELECT generation FROM blobs WHERE digest=?", (raw,)).fetchone()
        blob = one(
            self._execute(
                """INSERT INTO blobs (digest, size, state, generation, verified, body) VALUES (?,?,1,?,?,?)
               ON CONFLICT (digest) DO UPDATE SET size=excluded.size, state=1, generation=excluded.generation,
               verified=excluded.verified, body=excluded.body RETURNING id""",
                (raw, size, generation, self._moment.now, body),
            )
        )[0]
        return BlobId(blob), "" if before is None or before[0] == generation else before[0]

    def expect(self, wanted: Sequence[tuple[Digest, int]]) -> Mapping[Digest, BlobRow]:
        """Rows for blobs whose bytes may come later, as a cached manifest names them."""
        for digest, size in wanted:
            self._execute(
                """INSERT INTO blobs (digest, size, state, generation, verified) VALUES (?,?,0,'',?)
                   ON CONFLICT (digest) DO NOTHING""",
                (digest.raw, size, self._moment.now),
            )
        return self.rows([digest for digest, _ in wanted])

    def verify(self, blobs: Collection[BlobRow]) -> None:
        """See the port."""
        self._connection.executemany(
            "UPDATE blobs SET verified=? WHERE id=? AND generation=? AND state IN (1, 2)",
            ((self._moment.now, blob.id, blob.generation) for blob in blobs),
        )

    def lose(self, blob: BlobRow) -> bool:
        """The file keeps its name, which no row has any more: it goes as files without a row do."""
        found = self._execute(
            """UPDATE blobs SET state=0, generation='', body=NULL
               WHERE id=? AND generation=? AND state IN (1, 2) RETURNING id""",
            (blob.id, blob.generation),
        )
        return found.fetchone() is not None

    def link(self, image: ImageId, blobs: Collection[BlobId]) -> None:
        """Gives blobs to the image."""
        for blob in blobs:
            self._execute(
                "INSERT OR IGNORE INTO blob_links (image_id, blob_id, created) VALUES (?,?,?)",
                (image, blob, self._moment.now),
            )

    def unlink(self, image: ImageId, blob: BlobId) -> bool:
        """Takes a blob from the image; False if it had none."""
        self._execute("DELETE FROM leases WHERE blob_id=? AND image_id=?", (blob, image))
        self._execute("DELETE FROM blob_links WHERE image_id=? AND blob_id=?", (image, blob))
        return self._connection.changes() > 0

    def lease(self, image: ImageId, blobs: Collection[BlobId], until: int) -> None:
        """A later end stands; the review comes when the lease ends."""
        for blob in blobs:
            self._execute(
                """INSERT INTO leases (blob_id, image_id, until) VALUES (?,?,?)
                   ON CONFLICT DO UPDATE SET until=max(until, excluded.until)""",
                (blob, image, until),
            )
            self._execute("UPDATE blobs SET state=1 WHERE id=? AND state=2", (blob,))
            self._execute(
                """INSERT INTO gc_queue (blob_id, review) VALUES (?,?)
                   ON CONFLICT DO UPDATE SET review=max(review, excluded.review)""",
                (blob, until),
            )

    def named_by(self, image: ImageId, blob: BlobId) -> Digest | None:
        """Any one manifest of the image that needs the blob."""
        raw = self._execute(
            """SELECT m.digest FROM manifest_blobs b JOIN manifest_links l ON l.manifest_id=b.manifest_id
               JOIN manifests m ON m.id=b.manifest_id WHERE b.blob_id=? AND l.image_id=? LIMIT 1""",
            (blob, image),
        ).fetchone()
        return None if raw is None else Digest.from_raw(raw[0])


class SqliteReclaims:
    """Implements ``ports.metadata.store.Reclaims``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._moment = moment

    def review(self, blobs: Collection[BlobId], at: int) -> None:
        """An earlier date stands."""
        for blob in blobs:
            self._execute(
                """INSERT INTO gc_queue (blob_id, review) VALUES (?,?)
                   ON CONFLICT DO UPDATE SET review=min(review, excluded.review)""",
                (blob, at),
            )

    def due(self, limit: int) -> Sequence[BlobRow]:
        """The oldest first; blobs that are being deleted are not among them."""
        rows = self._execute(DUE, (self._moment.now, limit)).fetchall()
        return [blob_row(row) for row in rows]

    def wanted(self, blob: BlobId) -> int | None:
        """Leases come first: a blob leaves the queue only when none is left, so that no row of theirs stays behind."""
        self._execute("DELETE FROM leases WHERE blob_id=? AND until<=?", (blob, self._moment.now))
        until = self._execute("SELECT max(until) FROM leases WHERE blob_id=?", (blob,)).get
        if isinstance(until, int):
            return until
        return 0 if self._named(blob) else None

    def postpone(self, blob: BlobId, review: int) -> None:
        """Sets the date of the next review, later or earlier than it was."""
        self._execute("UPDATE gc_queue SET review=? WHERE blob_id=?", (review, blob))

    def mark(self, blob: BlobRow, state: BlobState) -> None:
        """One step on the way out."""
        self._execute("UPDATE blobs SET state=? WHERE id=? AND state=?", (state, blob.id, blob.state))

    def deleting(self, limit: int) -> Sequence[BlobRow]:
        """What a crash, or the step before, left marked."""
        rows = self._execute(DELETING, (limit,)).fetchall()
        return [blob_row(row) for row in rows]

    def forget(self, blob: BlobId, generation: str) -> None:
        """New bytes that landed meanwhile have another generation and are LIVE."""
        row = self._execute(
            "SELECT 1 FROM blobs WHERE id=? AND generation=? AND state IN (0, 3)", (blob, generation)
        ).fetchone()
        if row is None:
            return
        for table in ("blob_links", "leases", "gc_queue"):
            self._execute(f"DELETE FROM {table} WHERE blob_id=?", (blob,))
        if self._named(blob):
            self._execute("UPDATE blobs SET state=0, generation='', body=NULL WHERE id=?", (blob,))
        else:
            self._execute("DELETE FROM blobs WHERE id=?", (blob,))

    def settle(self, blob: BlobId) -> None:
        """Out of the queue."""
        self._execute("DELETE FROM gc_queue WHERE blob_id=?", (blob,))
        self._execute("UPDATE blobs SET state=1 WHERE id=? AND state=2", (blob,))

    def _named(self, blob: BlobId) -> bool:
        return self._execute("SELECT 1 FROM manifest_blobs WHERE blob_id=? LIMIT 1", (blob,)).fetchone() is not None
