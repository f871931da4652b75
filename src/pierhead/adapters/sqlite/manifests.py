"""Manifests, their bodies, what they name, and what refers to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.domain.digest import Digest
from pierhead.ports.metadata.values import BlobId, ImageId, ManifestId, NewManifest, StoredManifest

STORED_COLUMNS = "m.digest, m.media_type, m.artifact_type, m.subject, b.body"
_STORED = f"""
SELECT {STORED_COLUMNS}
FROM manifests m JOIN manifest_bodies b ON b.manifest_id=m.id WHERE m.id=?
"""


_TOUCHED_AGAIN = 60 * 1_000_000


class _Moment(Protocol):
    now: int


def read_stored(connection: apsw.Connection, manifest: ManifestId) -> StoredManifest:
    """The manifest with this id; the caller has found the id in this database, so it is there."""
    return stored_manifest(manifest, one(connection.execute(_STORED, (manifest,))))


def stored_manifest(manifest: ManifestId, row: tuple[Any, ...]) -> StoredManifest:
    """From ``STORED_COLUMNS``."""
    digest, media_type, artifact_type, subject, body = row
    return StoredManifest(
        manifest,
        Digest.from_raw(digest),
        media_type,
        artifact_type,
        body,
        None if subject is None else Digest.from_raw(subject),
    )


def forget_unheld(connection: apsw.Connection, manifest: ManifestId, image: ImageId) -> None:
    """After ``image`` has let go of a manifest: forgets its pulls there, and itself if no image holds it or has it in
    the trash."""
    held = (
        "SELECT image_id FROM manifest_links WHERE manifest_id=?1 UNION SELECT image_id FROM trash WHERE manifest_id=?1"
    )
    holders = {one for (one,) in connection.execute(held, (manifest,))}
    if image not in holders:
        connection.execute(
            "DELETE FROM pulls WHERE image_id=? AND digest=(SELECT digest FROM manifests WHERE id=?)", (image, manifest)
        )
    if not holders:
        for table in ("referrers", "manifest_blobs", "manifest_children", "manifest_bodies"):
            connection.execute(f"DELETE FROM {table} WHERE manifest_id=?", (manifest,))
        connection.execute("DELETE FROM manifests WHERE id=?", (manifest,))


class SqliteManifests:
    """Implements ``ports.metadata.store.Manifests``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._moment = moment

    def put(self, new: NewManifest) -> ManifestId:
        """Body, blobs and children are written once; blobs that a cached copy lacked are added."""
        raw = new.digest.raw
        row = self._execute(
            """INSERT INTO manifests (digest, media_type, artifact_type, size, subject, created) VALUES (?,?,?,?,?,?)
               ON CONFLICT (digest) DO NOTHING RETURNING id""",
            (
                raw,
                new.media_type,
                new.artifact_type,
                len(new.body),
                None if new.subject is None else new.subject.raw,
                self._moment.now,
            ),
        ).fetchone()
        if row is None:
            found = self._execute("SELECT id FROM manifests WHERE digest=?", (raw,)).get
            assert isinstance(found, int)
            manifest = ManifestId(found)
        else:
            manifest = ManifestId(row[0])
            self._execute("INSERT INTO manifest_bodies (manifest_id, body) VALUES (?,?)", (manifest, new.body))
            for position, child in enumerate(new.children):
                self._execute(
                    "INSERT OR IGNORE INTO manifest_children (manifest_id, child, position) VALUES (?,?,?)",
                    (manifest, child.raw, position),
                )
        for blob in new.blobs:
            self._execute("INSERT OR IGNORE INTO manifest_blobs (manifest_id, blob_id) VALUES (?,?)", (manifest, blob))
        return manifest

    def find(self, image: ImageId, digests: Collection[Digest]) -> Mapping[Digest, ManifestId]:
        """Those that the image holds."""
        found: dict[Digest, ManifestId] = {}
        for digest in digests:
            row = self._execute(
                """SELECT m.id FROM manifests m JOIN manifest_links l ON l.manifest_id=m.id AND l.image_id=?
                   WHERE m.digest=?""",
                (image, digest.raw),
            ).fetchone()
            if row is not None:
                found[digest] = ManifestId(row[0])
        return found

    def link(self, image: ImageId, manifests: Collection[ManifestId]) -> None:
        """Gives manifests to the image; those that it has stay as they are."""
        for manifest in manifests:
            self._execute(
                "INSERT OR IGNORE INTO manifest_links (image_id, manifest_id, created) VALUES (?,?,?)",
                (image, manifest, self._moment.now),
            )

    def touch(self, image: ImageId, digest: Digest) -> None:
        """Expiry goes by when a link was made."""
        self._execute(
            """UPDATE manifest_links SET created=?1 WHERE image_id=?2 AND created<?1-?4
               AND manifest_id=(SELECT id FROM manifests WHERE digest=?3)""",
            (self._moment.now, image, digest.raw, _TOUCHED_AGAIN),
        )

    def unlink(self, image: ImageId, manifest: ManifestId) -> bool:
        """The last image that lets go takes the manifest with it, unless one has it in the trash."""
        self._execute("DELETE FROM referrers WHERE manifest_id=? AND image_id=?", (manifest, image))
        self._execute("DELETE FROM manifest_links WHERE image_id=? AND manifest_id=?", (image, manifest))
        if self._connection.changes() == 0:
            return False
        forget_unheld(self._connection, manifest, image)
        return True

    def parents(self, image: ImageId, digest: Digest) -> Sequence[Digest]:
        """Indexes of this image that list ``digest``."""
        rows = self._execute(
            """SELECT m.digest FROM manifest_children c JOIN manifest_links l ON l.manifest_id=c.manifest_id
               JOIN manifests m ON m.id=c.manifest_id WHERE c.child=? AND l.image_id=?""",
            (digest.raw, image),
        )
        return [Digest.from_raw(raw) for (raw,) in rows]

    def sizes(self, manifests: Collection[ManifestId]) -> Mapping[Digest, int]:
        """Bytes of each, by digest."""
        found: dict[Digest, int] = {}
        for manifest in manifests:
            digest, size = one(self._execute("SELECT digest, size FROM manifests WHERE id=?", (manifest,)))
            found[Digest.from_raw(digest)] = size
        return found

    def depth(self, digests: Collection[Digest], most: int) -> int:
        """Level by level, each manifest once a level: shared children do not multiply the work."""
        level = {digest.raw for digest in digests}
        depth = 0
        while level and depth < most:
            depth += 1
            below: set[bytes] = set()
            for raw in level:
                rows = self._execute(
                    """SELECT c.child FROM manifests m JOIN manifest_children c ON c.manifest_id=m.id
                       WHERE m.digest=?""",
                    (raw,),
                )
                below.update(child for (child,) in rows)
            level = below
        return depth

    def blobs(self, manifest: ManifestId) -> Sequence[BlobId]:
        """Blobs that stay because of this manifest."""
        rows = self._execute("SELECT blob_id FROM manifest_blobs WHERE manifest_id=?", (manifest,))
        return [BlobId(blob) for (blob,) in rows]

    def refer(self, image: ImageId, subject: Digest, artifact_type: str, manifest: ManifestId) -> None:
        """Lists the manifest among the referrers of ``subject``."""
        self._execute(
            "INSERT OR IGNORE INTO referrers (image_id, subject, artifact_type, manifest_id) VALUES (?,?,?,?)",
            (image, subject.raw, artifact_type, manifest),
        )

    def stored(self, manifest: ManifestId) -> StoredManifest:
        """The manifest whole."""
        return read_stored(self._connection, manifest)
