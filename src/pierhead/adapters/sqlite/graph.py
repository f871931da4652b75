"""What goes along with an image: found and given by statements over sets of rows, however large the blobs are."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

import apsw

from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.ports.metadata.promotions import Member
from pierhead.ports.metadata.values import ImageId, ManifestId

# Tags under which clients keep referrers: OCI distribution specification, "Referrers tag schema", and cosign's.
_NAMES: Final = """
('sha256-'||lower(hex({digest})), 'sha256-'||lower(hex({digest}))||'.sig', 'sha256-'||lower(hex({digest}))||'.att',
 'sha256-'||lower(hex({digest}))||'.sbom')
"""
# The order of the joins is said (CROSS JOIN): each step begins with what was found before.
_BELOW: Final = """
below(id) AS (
    SELECT ?2 UNION
    SELECT m.id FROM below b CROSS JOIN manifest_children c ON c.manifest_id=b.id
    CROSS JOIN manifests m ON m.digest=c.child CROSS JOIN manifest_links l ON l.image_id=?1 AND l.manifest_id=m.id
)"""
REACH: Final = f"""
WITH RECURSIVE {_BELOW}, reached(id) AS (
    SELECT id FROM below UNION
    SELECT m.id FROM reached b CROSS JOIN manifest_children c ON c.manifest_id=b.id
    CROSS JOIN manifests m ON m.digest=c.child CROSS JOIN manifest_links l ON l.image_id=?1 AND l.manifest_id=m.id
    UNION
    SELECT r.manifest_id FROM reached b CROSS JOIN manifests m ON m.id=b.id
    CROSS JOIN referrers r ON r.image_id=?1 AND r.subject=m.digest
    UNION
    SELECT t.manifest_id FROM reached b CROSS JOIN manifests m ON m.id=b.id AND length(m.digest)=32
    CROSS JOIN tags t ON t.image_id=?1 AND t.until IS NULL AND t.name IN {_NAMES.format(digest="m.digest")}
    LIMIT ?3
)
SELECT m.id, m.digest, m.media_type, m.artifact_type, m.id IN (SELECT id FROM below)
FROM reached r CROSS JOIN manifests m ON m.id=r.id
"""
LACKING: Final = """
WITH going(id) AS MATERIALIZED (SELECT value FROM json_each(?2))
SELECT b.digest, 'blob' FROM going g CROSS JOIN manifest_blobs n ON n.manifest_id=g.id
CROSS JOIN blobs b ON b.id=n.blob_id
LEFT JOIN blob_links l ON l.image_id=?1 AND l.blob_id=b.id WHERE b.state NOT IN (1, 2) OR l.blob_id IS NULL
UNION
SELECT c.child, 'manifest' FROM going g CROSS JOIN manifest_children c ON c.manifest_id=g.id
WHERE NOT EXISTS (SELECT 1 FROM manifests m JOIN manifest_links l ON l.image_id=?1 AND l.manifest_id=m.id
                  WHERE m.digest=c.child)
  AND NOT EXISTS (SELECT 1 FROM blobs b JOIN blob_links l ON l.image_id=?1 AND l.blob_id=b.id
                  WHERE b.digest=c.child AND b.state IN (1, 2))
LIMIT 100
"""
FALLBACK: Final = f"""
SELECT t.name, t.manifest_id FROM json_each(?2) g CROSS JOIN manifests m ON m.id=g.value AND length(m.digest)=32
CROSS JOIN tags t ON t.image_id=?1 AND t.until IS NULL AND t.name IN {_NAMES.format(digest="m.digest")}
"""
GIVE_MANIFESTS: Final = """
INSERT OR IGNORE INTO manifest_links (image_id, manifest_id, created) SELECT ?1, value, ?3 FROM json_each(?2)
"""
GIVE_BLOBS: Final = """
INSERT OR IGNORE INTO blob_links (image_id, blob_id, created)
SELECT ?1, n.blob_id, ?3 FROM json_each(?2) g CROSS JOIN manifest_blobs n ON n.manifest_id=g.value
"""
GIVE_REFERRERS: Final = """
INSERT OR IGNORE INTO referrers (image_id, subject, artifact_type, manifest_id)
SELECT ?1, r.subject, r.artifact_type, r.manifest_id FROM json_each(?2) g
CROSS JOIN referrers r ON r.manifest_id=g.value AND r.image_id=?3
"""
_BLOBS: Final = """
SELECT count(DISTINCT n.blob_id) FROM json_each(?1) g CROSS JOIN manifest_blobs n ON n.manifest_id=g.value
"""
# Blobs that only indexes list by digest, among their children, as some caches do.
_LISTED: Final = """
INSERT OR IGNORE INTO blob_links (image_id, blob_id, created)
SELECT ?1, b.id, ?3 FROM json_each(?2) g CROSS JOIN manifest_children c ON c.manifest_id=g.value
CROSS JOIN blobs b ON b.digest=c.child CROSS JOIN blob_links l ON l.image_id=?4 AND l.blob_id=b.id
"""


class _Moment(Protocol):
    now: int


class SqliteGraph:
    """Implements ``ports.metadata.promotions.Graph``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def reach(self, image: ImageId, root: ManifestId, most: int) -> Sequence[Member]:
        """The root first."""
        rows: list[Any] = self._execute(REACH, (image, root, most + 1)).fetchall()
        found = [
            Member(ManifestId(id_), Digest.from_raw(digest), media_type, artifact_type, bool(below))
            for id_, digest, media_type, artifact_type, below in rows
        ]
        found.sort(key=lambda one: (one.id != root, not one.below, one.id))
        return found

    def lacking(self, image: ImageId, manifests: Collection[ManifestId]) -> Sequence[tuple[Digest, str]]:
        """At most a hundred are named."""
        rows: list[Any] = self._execute(LACKING, (image, json.dumps(list(manifests)))).fetchall()
        return [(Digest.from_raw(digest), kind) for digest, kind in rows]

    def fallback(self, image: ImageId, manifests: Collection[ManifestId]) -> Sequence[tuple[Tag, ManifestId]]:
        """See the port."""
        rows: list[Any] = self._execute(FALLBACK, (image, json.dumps(list(manifests)))).fetchall()
        return [(Tag(name), ManifestId(manifest)) for name, manifest in rows]

    def give(self, source: ImageId, target: ImageId, manifests: Collection[ManifestId]) -> int:
        """See the port."""
        ids, now = json.dumps(list(manifests)), self._moment.now
        self._execute(GIVE_MANIFESTS, (target, ids, now))
        self._execute(GIVE_BLOBS, (target, ids, now))
        self._execute(_LISTED, (target, ids, now, source))
        self._execute(GIVE_REFERRERS, (target, ids, source))
        found = self._execute(_BLOBS, (ids,)).get
        assert isinstance(found, int)
        return found

    def arrived(self, image: ImageId, manifest: ManifestId) -> int | None:
        """See the port."""
        found = self._execute(
            "SELECT created FROM manifest_links WHERE image_id=? AND manifest_id=?", (image, manifest)
        ).get
        return found if isinstance(found, int) else None
