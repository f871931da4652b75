"""The pull path's statements. They run on the event loop: each takes microseconds, a thread hop would take more.

Members come as one ``IN`` list and go back unordered: sorting in SQL costs twice as much as choosing in the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import apsw

from pierhead.adapters.sqlite.accounts import ACCESS_TOKEN, token_row
from pierhead.adapters.sqlite.blobs import blob_row
from pierhead.adapters.sqlite.manifests import STORED_COLUMNS, read_stored, stored_manifest
from pierhead.adapters.sqlite.one import one
from pierhead.adapters.sqlite.remembered import Remembered
from pierhead.adapters.sqlite.sessions import SELECT_SESSION, session_row
from pierhead.adapters.sqlite.uploads import SELECT_UPLOAD, upload_row
from pierhead.domain import limits
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, Tag
from pierhead.domain.policy import WritePolicy
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.store import Members
from pierhead.ports.metadata.values import (
    BlobId,
    BlobRow,
    CacheEntry,
    ManifestId,
    ReferrerRow,
    RepositoryId,
    StoredManifest,
    TagHit,
    UploadRow,
)

# With the manifest itself, which is wanted next: a second statement would take as long again, locks and all. The joins
# are outer ones, so that damage shows where the manifest is read and does not make another member answer.
TAG = f"""
SELECT i.repository_id, t.manifest_id, {STORED_COLUMNS} FROM images i
JOIN tags t ON t.image_id=i.id AND t.name=? AND t.until IS NULL
LEFT JOIN manifests m ON m.id=t.manifest_id LEFT JOIN manifest_bodies b ON b.manifest_id=t.manifest_id
WHERE i.repository_id IN ({{members}}) AND i.name=?
"""
MANIFEST = f"""
SELECT i.repository_id, m.id, {STORED_COLUMNS} FROM manifests m CROSS JOIN images i
JOIN manifest_links l ON l.image_id=i.id AND l.manifest_id=m.id LEFT JOIN manifest_bodies b ON b.manifest_id=m.id
WHERE m.digest=? AND i.repository_id IN ({{members}}) AND i.name=?
"""
# The planner's own order walks every image that holds a shared layer; CROSS JOIN keeps it from that.
BLOB = """
SELECT b.id, b.digest, b.size, b.state, b.generation, b.body, i.repository_id FROM blobs b CROSS JOIN images i
CROSS JOIN blob_links l ON l.blob_id=b.id AND l.image_id=i.id
WHERE b.digest=? AND b.state IN (1, 2) AND i.repository_id IN ({members}) AND i.name=?
"""
# A page of each member, merged: with one IN list all names of all members would be sorted for every page.
TAGS = """
SELECT t.name FROM images i JOIN tags t ON t.image_id=i.id AND t.until IS NULL AND t.name>?1
WHERE i.repository_id={member} AND i.name=?3 ORDER BY t.name LIMIT ?2
"""
IMAGES = """
SELECT i.name FROM images i WHERE i.repository_id={member} AND i.name>?1
AND EXISTS (SELECT 1 FROM manifest_links l WHERE l.image_id=i.id) ORDER BY i.name LIMIT ?2
"""
# By the image, which has its bounds: a shared layer is named by manifests without end.
NAMING = """
SELECT n.manifest_id FROM manifest_links l CROSS JOIN manifest_blobs n ON n.manifest_id=l.manifest_id
AND n.blob_id=(SELECT b.id FROM blobs b WHERE b.digest=?2) WHERE l.image_id=?1
UNION ALL
SELECT c.manifest_id FROM manifest_children c
JOIN manifest_links l ON l.manifest_id=c.manifest_id AND l.image_id=?1 WHERE c.child=?2
LIMIT 1
"""
OPENING = """
SELECT write_policy, (SELECT count(*) FROM uploads WHERE account=? AND digest IS NULL) FROM repositories WHERE id=?
"""
SHARED = """
SELECT b.id, b.digest, b.size, b.state, b.generation FROM blobs b CROSS JOIN blob_links l ON l.blob_id=b.id
CROSS JOIN images i ON i.id=l.image_id AND i.repository_id=?
WHERE b.digest=? AND b.state=1 LIMIT 1
"""
# A page of each member, merged, as of tags; ``name`` is what ``merged`` sorts by.
REFERRERS = """
SELECT r.manifest_id AS name FROM referrers r
WHERE r.image_id=(SELECT i.id FROM images i WHERE i.repository_id={member} AND i.name=?3)
AND r.subject=?4 {typed} AND r.manifest_id>?1 ORDER BY r.manifest_id LIMIT ?2
"""
NOTE = "SELECT value FROM settings WHERE name=?"

_KEPT_BESIDES_BYTES: Final = 700
"""What Python adds to the bytes of a manifest that is kept: objects for it, its digest, its type, and its place."""


def referrers_page(members: int, *, typed: bool) -> str:
    """Parameters: after, limit, image, subject, the type if ``typed``, then the members."""
    template = REFERRERS.replace("{typed}", "AND r.artifact_type=?5" if typed else "")
    page = merged(template, members, 6 if typed else 5)
    return f"SELECT m.digest, m.media_type, m.size, m.artifact_type, m.id FROM ({page}) JOIN manifests m ON m.id=name"


def merged(template: str, members: int, first: int) -> str:
    """One statement for the pages of all members, sorted and without doubles; ``?2`` is the length of a page."""
    each = (template.replace("{member}", f"?{number}") for number in range(first, first + members))
    pages = " UNION ".join(f"SELECT * FROM ({one})" for one in each)
    return f"SELECT name FROM ({pages}) ORDER BY name LIMIT ?2"


class SqliteLookups:
    """Implements ``ports.metadata.store.Lookups`` on one connection that belongs to the event loop's thread."""

    def __init__(self, connection: apsw.Connection, commits: Callable[[], int] | None = None) -> None:
        """``commits`` counts the commits of the only process that writes; None if others may write as well."""
        self._connection = connection
        self._tags = Remembered[tuple[TagHit, ...]](commits, limits.TAGS_REMEMBERED_MAX)
        self._manifests = Remembered[tuple[TagHit, ...]](commits, limits.TAGS_REMEMBERED_MAX)
        self._blobs = Remembered[tuple[RepositoryId, BlobRow]](commits, limits.BLOBS_REMEMBERED_MAX)
        self._execute = connection.execute
        self._statements: dict[tuple[str, int], str] = {}
        self._bodies: OrderedDict[ManifestId, StoredManifest] = OrderedDict()
        self._body_bytes = 0

    async def tag(self, members: Members, image: ImageName, tag: Tag) -> Sequence[TagHit]:
        """Remembered until the next commit: the same few tags are pulled over and over."""
        key = (members, image, tag)
        found = self._tags.get(key)
        if found is None:
            found = self._hits(TAG, (tag, *members, image))
            self._tags.put(key, found)
        return found

    async def manifest(self, members: Members, image: ImageName, digest: Digest) -> Sequence[TagHit]:
        """Remembered as tags are: who asked for a tag asks for its digest next."""
        key = (members, image, digest)
        found = self._manifests.get(key)
        if found is None:
            found = self._hits(MANIFEST, (digest.raw, *members, image))
            self._manifests.put(key, found)
        return found

    def _hits(self, template: str, values: tuple[object, ...]) -> tuple[TagHit, ...]:
        """The members' hits; the manifests are kept, since one of them is asked for next."""
        hits: list[TagHit] = []
        for repository, manifest, *columns in self._execute(self._statement(template, len(values) - 2), values):
            hits.append(TagHit(RepositoryId(repository), ManifestId(manifest)))
            if manifest not in self._bodies and columns[0] is not None and columns[-1] is not None:
                self._keep(stored_manifest(ManifestId(manifest), tuple(columns)))
        return tuple(hits)

    async def stored(self, manifest: ManifestId) -> StoredManifest:
        """Ids are never used again, so what is remembered under one stays true, in every process."""
        found = self._bodies.get(manifest)
        if found is not None:
            self._bodies.move_to_end(manifest)
            return found
        found = read_stored(self._connection, manifest)
        self._keep(found)
        return found

    def _keep(self, found: StoredManifest) -> None:
        """A small manifest costs several times its bytes, as objects do."""
        self._bodies[found.id] = found
        self._body_bytes += len(found.body) + _KEPT_BESIDES_BYTES
        while self._body_bytes > limits.BODY_CACHE_BYTES_MAX and len(self._bodies) > 1:
            _, oldest = self._bodies.popitem(last=False)
            self._body_bytes -= len(oldest.body) + _KEPT_BESIDES_BYTES

    async def blob(self, members: Members, image: ImageName, digest: Digest) -> tuple[RepositoryId, BlobRow] | None:
        """Any member's will do: the bytes are the same. Remembered until the next commit."""
        key = (members, image, digest)
        found = self._blobs.get(key)
        if found is None:
            row = self._execute(self._statement(BLOB, len(members)), (digest.raw, *members, image)).fetchone()
            if row is None:
                return None
            found = (RepositoryId(row[6]), blob_row(row[:6]))
            self._blobs.put(key, found)
        return found

    async def known(self, digest: Digest) -> BlobRow | None:
        """What the store holds under ``digest``, whoever was given it; not for answering clients."""
        row = self._execute(
            "SELECT id, digest, size, state, generation FROM blobs WHERE digest=?", (digest.raw,)
        ).fetchone()
        return None if row is None else blob_row(row)

    async def review(self, blob: BlobId) -> int | None:
        """When the blob's turn in the review queue comes; None if it does not stand there."""
        found = self._execute("SELECT review FROM gc_queue WHERE blob_id=?", (blob,)).get
        return found if isinstance(found, int) else None

    async def tags(self, members: Members, image: ImageName, last: str, limit: int) -> Sequence[Tag] | None:
        """See the port."""
        rows = self._execute(self._merged(TAGS, len(members), 4), (last, limit, image, *members)).fetchall()
        if not rows:
            known = self._execute(
                self._statement("SELECT 1 FROM images WHERE repository_id IN ({members}) AND name=?", len(members)),
                (*members, image),
            ).fetchone()
            if known is None:
                return None
        return [Tag(name) for (name,) in rows]

    async def images(self, members: Members, last: str, limit: int) -> Sequence[ImageName]:
        """See the port."""
        rows = self._execute(self._merged(IMAGES, len(members), 3), (last, limit, *members))
        return [ImageName(name) for (name,) in rows]

    async def referrers(
        self, members: Members, image: ImageName, subject: Digest, artifact_type: str | None, after: int, limit: int
    ) -> Sequence[ReferrerRow]:
        """See the port."""
        typed = () if artifact_type is None else (artifact_type,)
        rows = self._execute(
            referrers_page(len(members), typed=bool(typed)),
            (after, limit, image, subject.raw, *typed, *members),
        )
        return [
            ReferrerRow(Digest.from_raw(digest), media_type, size, artifact_type_, ManifestId(manifest))
            for digest, media_type, size, artifact_type_, manifest in sorted(rows, key=lambda row: int(row[4]))
        ]

    async def upload(self, upload: str) -> UploadRow | None:
        """See the port."""
        row = self._execute(SELECT_UPLOAD, (upload,)).fetchone()
        return None if row is None else upload_row(row)

    async def opening(self, repository: RepositoryId, account: str) -> tuple[WritePolicy, int]:
        """See the port."""
        policy, count = one(self._execute(OPENING, (account, repository)))
        return WritePolicy(policy), count

    async def session(self, session: bytes) -> SessionRow | None:
        """See the port."""
        row = self._execute(SELECT_SESSION, (session,)).fetchone()
        return None if row is None else session_row(row)

    async def cached(self, repository: RepositoryId, image: ImageName, tag: Tag) -> CacheEntry | None:
        """What was last heard of a tag."""
        row = self._execute(
            """SELECT c.digest, c.checked FROM images i JOIN cache_entries c ON c.image_id=i.id AND c.tag=?
               WHERE i.repository_id=? AND i.name=?""",
            (tag, repository, image),
        ).fetchone()
        return None if row is None else CacheEntry(Digest.from_raw(row[0]), row[1])

    async def naming(self, repository: RepositoryId, image: ImageName, digest: Digest) -> ManifestId | None:
        """See the port."""
        found = self._execute("SELECT id FROM images WHERE repository_id=? AND name=?", (repository, image)).get
        manifest = self._execute(NAMING, (found, digest.raw)).get if isinstance(found, int) else None
        return ManifestId(manifest) if isinstance(manifest, int) else None

    async def shared(self, repository: RepositoryId, digest: Digest) -> BlobRow | None:
        """See the port."""
        row = self._execute(SHARED, (repository, digest.raw)).fetchone()
        return None if row is None else blob_row(row)

    async def access_token(self, digest: bytes) -> AccessTokenRow | None:
        """Never remembered: another process may have revoked it."""
        row = self._execute(ACCESS_TOKEN, (digest,)).fetchone()
        return None if row is None else token_row(row)

    async def note(self, name: str) -> str | None:
        """See the port."""
        found = self._execute(NOTE, (name,)).get
        return found if isinstance(found, str) else None

    def _merged(self, template: str, members: int, first: int) -> str:
        """``template`` for each member, whose ids are the parameters from number ``first`` on."""
        key = (template, members)
        found = self._statements.get(key)
        if found is None:
            found = merged(template, members, first)
            self._statements[key] = found
        return found

    def _statement(self, template: str, members: int) -> str:
        key = (template, members)
        found = self._statements.get(key)
        if found is None:
            found = template.replace("{members}", ",".join("?" * members))
            self._statements[key] = found
        return found
