"""Facts for expiry: what tags and untagged manifests of an image are, and what would go with one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import apsw

from pierhead.adapters.sqlite.protected import why_protected
from pierhead.adapters.sqlite.pulls import COUNTED_SINCE
from pierhead.domain import limits
from pierhead.domain.build_cache import by_rows
from pierhead.domain.digest import Digest
from pierhead.domain.expiry import Rule, Rules, TagFacts
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.pull_days import counted, day_of, together
from pierhead.ports.metadata.expiry import ImageFacts, Island, Untagged
from pierhead.ports.metadata.values import ImageId, ManifestId

IMAGES: Final = """
SELECT i.id, i.name FROM repositories r JOIN images i ON i.repository_id=r.id
WHERE r.name=? AND EXISTS (SELECT 1 FROM manifest_links l WHERE l.image_id=i.id) ORDER BY i.name
"""
STANDING: Final = """
SELECT t.name, t.digest, t.since, m.media_type, m.artifact_type,
       EXISTS (SELECT 1 FROM tags o WHERE o.image_id=t.image_id AND o.name=t.name AND o.once=1),
       (SELECT count(*) FROM manifest_blobs b WHERE b.manifest_id=m.id)
FROM tags t JOIN manifests m ON m.id=t.manifest_id WHERE t.image_id=? AND t.until IS NULL
"""
ONE: Final = f"{STANDING} AND t.name=?"
NEWER: Final = f"{STANDING} AND t.since>=? ORDER BY t.since DESC"
# Roots only: what an index of the image names, or what refers to something that is there, is never untagged.
UNTAGGED: Final = """
SELECT m.id, m.digest, l.created, m.media_type, m.artifact_type,
       (SELECT count(*) FROM manifest_blobs b WHERE b.manifest_id=m.id)
FROM manifest_links l JOIN manifests m ON m.id=l.manifest_id
WHERE l.image_id=?1
AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.image_id=?1 AND t.manifest_id=m.id AND t.until IS NULL)
AND NOT EXISTS (SELECT 1 FROM manifest_children c JOIN manifest_links p ON p.manifest_id=c.manifest_id
                AND p.image_id=?1 WHERE c.child=m.digest)
AND NOT EXISTS (SELECT 1 FROM manifests s JOIN manifest_links p ON p.manifest_id=s.id AND p.image_id=?1
                WHERE s.digest=m.subject)
"""
ONE_UNTAGGED: Final = f"{UNTAGGED} AND m.digest=?2"
_LOST: Final = "SELECT digest, max(until) FROM tags WHERE image_id=? AND until IS NOT NULL GROUP BY digest"
_LOST_ONE: Final = "SELECT max(until) FROM tags WHERE image_id=? AND until IS NOT NULL AND until>? AND digest=?"
PULLS: Final = "SELECT tag, last, days FROM pulls WHERE image_id=? AND digest=? AND tag IN ('', ?)"
_CHILDREN: Final = """
SELECT c.child FROM manifests m JOIN manifest_children c ON c.manifest_id=m.id WHERE m.digest=?
"""
_ISLAND_MAX: Final = 10_000

Seen = tuple[int | None, dict[int, int]]


class SqliteExpiry:
    """Implements ``ports.metadata.expiry.ExpiryFacts``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def images(self, repository: RepositoryName) -> Sequence[tuple[ImageId, ImageName]]:
        """By name."""
        return [(ImageId(row[0]), ImageName(row[1])) for row in self._execute(IMAGES, (repository,))]

    def counted(self) -> int | None:
        """See the port."""
        found = self._execute("SELECT value FROM settings WHERE name=?", (COUNTED_SINCE,)).get
        return int(found) if isinstance(found, str) else None

    def facts(self, image: ImageId, name: ImageName) -> ImageFacts:
        """Every standing tag, and every manifest without one."""
        uses = _Uses(self._execute, image)
        tags = [_tag(name, row, uses) for row in self._execute(STANDING, (image,)).fetchall()]
        lost = dict(self._execute(_LOST, (image,)))
        loose = [
            _untagged(name, row, uses, lost.get(row[1], 0)) for row in self._execute(UNTAGGED, (image,)).fetchall()
        ]
        return ImageFacts(image, name, tags, loose)

    def tag(self, image: ImageId, name: ImageName, tag: Tag) -> TagFacts | None:
        """By the index of open tags."""
        row = self._execute(ONE, (image, tag)).fetchone()
        return None if row is None else _tag(name, row, _Uses(self._execute, image))

    def untagged(self, image: ImageId, name: ImageName, digest: Digest) -> Untagged | None:
        """By its digest."""
        row = self._execute(ONE_UNTAGGED, (image, digest.raw)).fetchone()
        if row is None:
            return None
        lost = self._execute(_LOST_ONE, (image, row[2], digest.raw)).get
        return _untagged(name, row, _Uses(self._execute, image), lost if isinstance(lost, int) else 0)

    def newer(self, image: ImageId, name: ImageName, facts: TagFacts, rules: Rules, rule: Rule) -> int:
        """The newest first, so that it ends soon for a tag that many are newer than."""
        found = 0
        for text, _, since, media_type, artifact_type, _, blobs in self._execute(NEWER, (image, facts.since)):
            tag = Tag(text)
            if found == rule.newest:
                break
            if tag.is_fallback or (since, tag) <= (facts.since, facts.tag):
                continue
            if by_rows(name, tag, media_type, artifact_type, blobs) is None and rules.first(name, tag) == rule:
                found += 1
        return found

    def island(self, image: ImageId, digest: Digest, tag: Tag | None) -> Island:
        """Grows from the manifest by whatever nothing else holds, until nothing is added."""
        root = self._linked(image, digest.raw)
        if root is None:
            return Island(because="it is not there any more")
        guarded = self._guarded(root)
        if guarded:
            return Island(guarded=guarded)
        stays = self._held_by(image, root, digest.raw, {root}, () if tag is None else (tag,))
        if stays:
            return Island(because=stays)
        going: dict[int, bytes] = {root: digest.raw}
        tags: list[Tag] = []
        grown = True
        while grown and len(going) < _ISLAND_MAX:
            grown = False
            for manifest, raw in list(going.items()):
                fallbacks = self._fallbacks(image, Digest.from_raw(raw))
                tags += [one for one in fallbacks if one not in tags]
                for other, its in self._around(image, manifest, raw, fallbacks):
                    if other not in going and not self._held_by(image, other, its, going.keys(), tags):
                        going[other] = its
                        grown = True
        return Island([ManifestId(one) for one in going], tags)

    def freed(self, manifests: Collection[tuple[ImageId, ManifestId]]) -> int:
        """A manifest goes when every image that holds it lets it go; a blob when every manifest that names it does."""
        leaving: dict[int, set[int]] = {}
        for image, manifest in manifests:
            leaving.setdefault(manifest, set()).add(image)
        gone = {one for one, images in leaving.items() if all(row[0] in images for row in self._holders(one))}
        size, seen = 0, set[int]()
        for one in gone:
            for blob, its_size in self._blobs(one):
                if blob in seen:
                    continue
                seen.add(blob)
                naming = self._execute("SELECT manifest_id FROM manifest_blobs WHERE blob_id=?", (blob,))
                if all(row[0] in gone for row in naming):
                    size += its_size
        return size

    def kept_deleted(self) -> tuple[int, int]:
        """What was pushed again meanwhile stays."""
        rows = self._execute(
            """SELECT t.image_id, t.manifest_id FROM trash t WHERE NOT EXISTS (
                   SELECT 1 FROM manifest_links l WHERE l.image_id=t.image_id AND l.manifest_id=t.manifest_id)"""
        )
        thrown = [(ImageId(image), ManifestId(manifest)) for image, manifest in rows]
        return len(thrown), self.freed(thrown)

    def oldest_deleted(self) -> int | None:
        """The first of an index."""
        found = self._execute("SELECT min(deleted) FROM trash").get
        return found if isinstance(found, int) else None

    def blobs_below(self, digest: Digest) -> Mapping[int, int]:
        """One level down, where an index names manifests."""
        root = self._execute("SELECT id FROM manifests WHERE digest=?", (digest.raw,)).get
        if not isinstance(root, int):
            return {}
        blobs = dict(self._blobs(root))
        for child in self._below(root):
            blobs.update(self._blobs(child))
        return blobs

    def _blobs(self, manifest: int) -> list[tuple[int, int]]:
        rows = self._execute(
            "SELECT b.id, b.size FROM manifest_blobs x JOIN blobs b ON b.id=x.blob_id WHERE x.manifest_id=?",
            (manifest,),
        )
        return [(blob, size) for blob, size in rows]

    def _holders(self, manifest: int) -> list[tuple[int]]:
        rows = self._execute("SELECT image_id FROM manifest_links WHERE manifest_id=?", (manifest,))
        return [(image,) for (image,) in rows]

    def _linked(self, image: ImageId, raw: bytes) -> int | None:
        found = self._execute(
            """SELECT m.id FROM manifests m JOIN manifest_links l ON l.manifest_id=m.id AND l.image_id=?
               WHERE m.digest=?""",
            (image, raw),
        ).get
        return found if isinstance(found, int) else None

    def _guarded(self, root: int) -> str:
        """Why the manifest or one below it must stay; "" if nothing is said of them."""
        level, seen = {root}, set[int]()
        while level:
            for manifest in level:
                if why := why_protected(self._execute, manifest):
                    return why
            seen |= level
            level = {below for manifest in level for below in self._below(manifest)} - seen
        return ""

    def _below(self, manifest: int) -> list[int]:
        rows = self._execute(
            "SELECT k.id FROM manifest_children c JOIN manifests k ON k.digest=c.child WHERE c.manifest_id=?",
            (manifest,),
        )
        return [child for (child,) in rows]

    def _held_by(self, image: ImageId, manifest: int, raw: bytes, going: Collection[int], tags: Collection[Tag]) -> str:
        """Why the manifest stays although ``going`` go and ``tags`` are closed; "" if it goes."""
        for (name,) in self._execute(
            "SELECT name FROM tags WHERE image_id=? AND manifest_id=? AND until IS NULL", (image, manifest)
        ):
            if name not in tags:
                return f"the tag {name} points at it"
        for parent, its in self._execute(
            """SELECT m.id, m.digest FROM manifest_children c JOIN manifest_links l ON l.manifest_id=c.manifest_id
               AND l.image_id=?1 JOIN manifests m ON m.id=c.manifest_id WHERE c.child=?2""",
            (image, raw),
        ):
            if parent not in going:
                return f"the index {Digest.from_raw(its)} names it"
        for subject, its in self._execute(
            """SELECT s.id, s.digest FROM manifests m JOIN manifests s ON s.digest=m.subject
               JOIN manifest_links l ON l.manifest_id=s.id AND l.image_id=?1 WHERE m.id=?2""",
            (image, manifest),
        ):
            if subject not in going:
                return f"it belongs to {Digest.from_raw(its)}"
        return why_protected(self._execute, manifest)

    def _around(self, image: ImageId, manifest: int, raw: bytes, fallbacks: Collection[Tag]) -> list[tuple[int, bytes]]:
        """Children, referrers, and what stands under the tags for signatures."""
        found = [
            (one, its)
            for one, its in self._execute(
                """SELECT k.id, k.digest FROM manifest_children c JOIN manifests k ON k.digest=c.child
                   JOIN manifest_links l ON l.manifest_id=k.id AND l.image_id=?1 WHERE c.manifest_id=?2
                   UNION SELECT m.id, m.digest FROM referrers r JOIN manifests m ON m.id=r.manifest_id
                   WHERE r.image_id=?1 AND r.subject=?3""",
                (image, manifest, raw),
            )
        ]
        for tag in fallbacks:
            row = self._execute(
                "SELECT manifest_id, digest FROM tags WHERE image_id=? AND name=? AND until IS NULL", (image, tag)
            ).fetchone()
            if row is not None:
                found.append((row[0], row[1]))
        return found

    def _fallbacks(self, image: ImageId, digest: Digest) -> list[Tag]:
        prefix = digest.replace(":", "-", 1)
        rows = self._execute(
            "SELECT name FROM tags WHERE image_id=? AND name>=? AND name<? AND until IS NULL",
            (image, prefix, prefix + "\x7f"),
        )
        return [tag for (name,) in rows if (tag := Tag(name)).is_fallback]


def _tag(name: ImageName, row: Sequence[Any], uses: _Uses) -> TagFacts:
    """From ``STANDING``."""
    text, raw, since, media_type, artifact_type, once, blobs = row
    tag = Tag(text)
    pulled, days = uses.of(raw, tag)
    cache = by_rows(name, tag, media_type, artifact_type, blobs) is not None
    return TagFacts(tag, Digest.from_raw(raw), since, pulled, days, bool(once), cache)


def _untagged(name: ImageName, row: Sequence[Any], uses: _Uses, lost: int) -> Untagged:
    """From ``UNTAGGED``; ``lost`` is when its last tag moved on."""
    manifest, raw, created, media_type, artifact_type, blobs = row
    pulled, days = uses.of(raw, None)
    cache = by_rows(name, None, media_type, artifact_type, blobs) is not None
    return Untagged(Digest.from_raw(raw), ManifestId(manifest), max(created, lost), pulled, days, cache)


class _Uses:
    """When what an image holds was pulled. A pull of something below an index is one of the index."""

    def __init__(self, execute: Callable[..., apsw.Cursor], image: ImageId) -> None:
        self._execute = execute
        self._image = image
        self._below: dict[bytes, Seen] = {}

    def of(self, raw: bytes, tag: Tag | None, deep: int = limits.INDEX_DEPTH_MAX) -> Seen:
        """Of a digest under a tag or by itself, with everything below it."""
        found: list[Seen] = []
        for _, last, ring in self._execute(PULLS, (self._image, raw, tag or "")):
            found.append((last, counted(ring, day_of(last), day_of(last))))
        if deep:
            for (child,) in self._execute(_CHILDREN, (raw,)):
                if child not in self._below:
                    self._below[child] = self.of(child, None, deep - 1)
                found.append(self._below[child])
        pulled = max((last for last, _ in found if last is not None), default=None)
        return pulled, together(*(days for _, days in found))
