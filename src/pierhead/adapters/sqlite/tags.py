"""Tags as intervals. Write-once is the index ``tags_once``, not a question asked before writing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.domain.digest import Digest
from pierhead.domain.names import Tag
from pierhead.ports.metadata.values import Claimed, EventId, Held, ImageId, ManifestId

_OPEN = "SELECT id, manifest_id, once FROM tags WHERE image_id=? AND name=? AND until IS NULL"
_DIGEST = "SELECT digest FROM tags WHERE image_id=? AND name=? AND until IS NULL"
_INSERT = """
INSERT INTO tags (image_id, name, manifest_id, digest, since, until, once, account, event)
SELECT ?1, ?2, ?3, (SELECT digest FROM manifests WHERE id=?3), ?4, NULL, ?5,
       (SELECT account FROM events WHERE seq=?6), ?6
WHERE true ON CONFLICT DO NOTHING RETURNING id
"""
_HELD = "SELECT digest, since, account, until IS NOT NULL FROM tags WHERE id=?"
_ONCE = "SELECT id, digest FROM tags WHERE image_id=? AND name=? AND once=1"

OF_MANIFEST = """
SELECT t.name, EXISTS (SELECT 1 FROM tags o WHERE o.image_id=t.image_id AND o.name=t.name AND o.once=1)
FROM tags t WHERE t.manifest_id=? AND t.until IS NULL AND t.image_id=? ORDER BY t.name
"""


class _Moment(Protocol):
    now: int


class SqliteTags:
    """Implements ``ports.metadata.store.Tags``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def claim(self, image: ImageId, name: Tag, manifest: ManifestId, event: EventId) -> Claimed | Held:
        """One insert, refused by an open tag and by a spent one; only then is looked who holds it."""
        if self._insert(image, name, manifest, event, once=1):
            return Claimed(None, changed=True)
        row = self._execute(_OPEN, (image, name)).fetchone()
        if row is not None:
            return Claimed(None, changed=False) if row[1] == manifest else self._held(row[0])
        spent_id, spent = one(self._execute(_ONCE, (image, name)))
        if spent != self._execute("SELECT digest FROM manifests WHERE id=?", (manifest,)).get:
            return self._held(spent_id)
        # The tag comes back with the bytes that it had; the spent row goes on guarding it.
        if not self._insert(image, name, manifest, event, once=0):
            raise AssertionError("a tag that is not open refused to be opened")
        return Claimed(None, changed=True)

    def move(self, image: ImageId, name: Tag, manifest: ManifestId, event: EventId) -> Claimed:
        """Opens an interval; if one is open already, closes that first."""
        if self._insert(image, name, manifest, event, once=0):
            return Claimed(None, changed=True)
        row_id, before, _ = one(self._execute(_OPEN, (image, name)))
        if before == manifest:
            return Claimed(None, changed=False)
        self._execute("UPDATE tags SET until=?, ended=? WHERE id=?", (self._moment.now, event, row_id))
        if not self._insert(image, name, manifest, event, once=0):
            raise AssertionError("a tag that was closed refused to be opened")
        return Claimed(ManifestId(before), changed=True)

    def close(self, image: ImageId, name: Tag, event: EventId, *, spend: bool) -> ManifestId | None:
        """Ends the open interval."""
        once = spend and self._execute(_ONCE, (image, name)).fetchone() is None
        row = self._execute(
            """UPDATE tags SET until=?, ended=?, once=max(once, ?) WHERE image_id=? AND name=? AND until IS NULL
               RETURNING manifest_id""",
            (self._moment.now, event, once, image, name),
        ).fetchone()
        return None if row is None else ManifestId(row[0])

    def held(self, image: ImageId, names: Collection[Tag]) -> Mapping[Tag, ManifestId]:
        """One probe of the index a name."""
        found: dict[Tag, ManifestId] = {}
        for name in names:
            row = self._execute(_OPEN, (image, name)).fetchone()
            if row is not None:
                found[name] = ManifestId(row[1])
        return found

    def pointing(self, image: ImageId, names: Collection[Tag]) -> Mapping[Tag, Digest]:
        """One probe of the index a name."""
        found: dict[Tag, Digest] = {}
        for name in names:
            raw = self._execute(_DIGEST, (image, name)).get
            if raw is not None:
                found[name] = Digest.from_raw(raw)
        return found

    def spent(self, image: ImageId, name: Tag) -> Held | None:
        """By the index that guards it."""
        row = self._execute(_ONCE, (image, name)).fetchone()
        return None if row is None else self._held(row[0])

    def of_manifest(self, image: ImageId, manifest: ManifestId) -> Sequence[tuple[Tag, bool]]:
        """Open tags of the manifest in this image, by name."""
        rows = self._execute(
            OF_MANIFEST,
            (manifest, image),
        )
        return [(Tag(name), bool(once)) for name, once in rows]

    def _insert(self, image: ImageId, name: Tag, manifest: ManifestId, event: EventId, *, once: int) -> bool:
        cursor = self._execute(_INSERT, (image, name, manifest, self._moment.now, once, event))
        return cursor.fetchone() is not None

    def _held(self, row_id: int) -> Held:
        digest, since, account, deleted = one(self._execute(_HELD, (row_id,)))
        return Held(Digest.from_raw(digest), since, account, bool(deleted))
