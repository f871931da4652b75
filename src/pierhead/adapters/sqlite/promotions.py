"""Promotions, votes on them, and what each stage holds."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.promotions import (
    WAITING,
    Follower,
    Held,
    NewPromotion,
    PointerRow,
    PromotionId,
    PromotionRow,
    Vote,
)
from pierhead.ports.metadata.values import ImageId, ManifestId, RepositoryId

_SELECT: Final = """
SELECT p.id, p.kind, p.state, t.name, p.source_id, sr.name, p.source_stage, p.target_id, tr.name, p.target_stage,
       p.digest, p.tags, p.account, p.asked, p.requested, p.expires, p.ended, p.follow, p.before, p.told
FROM promotions p JOIN images s ON s.id=p.source_id JOIN repositories sr ON sr.id=s.repository_id
JOIN images t ON t.id=p.target_id JOIN repositories tr ON tr.id=t.repository_id
"""
BY_ID: Final = f"{_SELECT} WHERE p.id=?"
BY_KEY: Final = f"{_SELECT} WHERE p.account=? AND p.key=?"
WAITS: Final = f"{_SELECT} WHERE p.state='waiting' AND p.target_id=? AND p.digest=? AND p.tags=?"
LAST_DONE: Final = f"""{_SELECT} WHERE p.target_id=? AND p.digest=? AND p.state='done' AND p.tags=? AND p.kind<>'back'
ORDER BY p.id DESC LIMIT 1"""
DUE: Final = f"{_SELECT} WHERE p.state='waiting' AND p.expires<=? ORDER BY p.expires LIMIT ?"
ANY_DUE: Final = "SELECT 1 FROM promotions WHERE state='waiting' AND expires<=? LIMIT 1"
_VOTES: Final = "SELECT account, at, approved, comment FROM promotion_votes WHERE promotion_id=? ORDER BY at, account"
_POINTER: Final = "SELECT digest, tag, since, until, account, promotion_id FROM pointers"
NOW: Final = f"{_POINTER} WHERE image_id=? AND until IS NULL"
HISTORY: Final = f"{_POINTER} WHERE image_id=? ORDER BY since DESC LIMIT ?"
EARLIER: Final = f"{_POINTER} WHERE image_id=?1 AND until IS NOT NULL AND digest<>?2 ORDER BY since DESC LIMIT 1"
EVER: Final = f"{_POINTER} WHERE image_id=?1 AND digest=?2 ORDER BY since DESC LIMIT 1"
FOLLOWERS: Final = """
SELECT f.target_id, r.id, r.name, f.promotion_id FROM followed f CROSS JOIN images i ON i.id=f.target_id
CROSS JOIN repositories r ON r.id=i.repository_id WHERE f.source_id=? AND f.subject=?
"""


class _Moment(Protocol):
    now: int


def _texts(tags: Sequence[Tag]) -> str:
    return json.dumps(list(tags))


def _row(row: Sequence[Any]) -> PromotionRow:
    return PromotionRow(
        PromotionId(row[0]),
        row[1],
        row[2],
        ImageName(row[3]),
        ImageId(row[4]),
        RepositoryName(row[5]),
        row[6],
        ImageId(row[7]),
        RepositoryName(row[8]),
        row[9],
        Digest.from_raw(row[10]),
        tuple(Tag(tag) for tag in json.loads(row[11])),
        row[12],
        row[13],
        row[14],
        row[15],
        row[16],
        bool(row[17]),
        None if row[18] is None else Digest.from_raw(row[18]),
        json.loads(row[19]),
    )


def _pointer(row: Sequence[Any]) -> PointerRow:
    return PointerRow(Digest.from_raw(row[0]), row[1], row[2], row[3], row[4], PromotionId(row[5]))


def _vote(row: Sequence[Any]) -> Vote:
    return Vote(row[0], row[1], bool(row[2]), row[3])


class SqlitePromotions:
    """Implements ``ports.metadata.promotions.Promotions``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def add(self, new: NewPromotion) -> PromotionId:
        """One row; ``ended`` is now unless it waits."""
        now = self._moment.now
        found = self._execute(
            """INSERT INTO promotions (kind, state, source_id, target_id, source_stage, target_stage, digest, tags,
               account, key, asked, requested, expires, ended, follow, before, told)
               VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id""",
            (
                new.kind,
                new.state,
                new.source,
                new.target,
                new.source_stage,
                new.target_stage,
                new.digest.raw,
                _texts(new.tags),
                new.account,
                new.key or None,
                new.asked,
                now,
                new.expires,
                None if new.state == WAITING else now,
                new.follow,
                None if new.before is None else new.before.raw,
                _told(new.told),
            ),
        ).get
        assert isinstance(found, int)
        return PromotionId(found)

    def find(self, promotion: PromotionId) -> PromotionRow | None:
        """By its number."""
        return self._one(BY_ID, (promotion,))

    def by_key(self, account: str, key: str) -> PromotionRow | None:
        """See the port."""
        return self._one(BY_KEY, (account, key))

    def waiting(self, target: ImageId, digest: Digest, tags: Sequence[Tag]) -> PromotionRow | None:
        """See the port."""
        return self._one(WAITS, (target, digest.raw, _texts(tags)))

    def done(self, target: ImageId, digest: Digest, tags: Sequence[Tag]) -> PromotionRow | None:
        """See the port."""
        return self._one(LAST_DONE, (target, digest.raw, _texts(tags)))

    def settle(self, promotion: PromotionId, state: str, before: Digest | None, told: Mapping[str, object]) -> None:
        """See the port."""
        raw = None if before is None else before.raw
        values = (state, self._moment.now, raw, _told(told), promotion)
        self._execute("UPDATE promotions SET state=?, ended=?, before=?, told=? WHERE id=? AND state='waiting'", values)

    def retell(self, promotion: PromotionId, told: Mapping[str, object]) -> None:
        """See the port."""
        self._execute("UPDATE promotions SET told=? WHERE id=?", (_told(told), promotion))

    def vote(self, promotion: PromotionId, vote: Vote) -> None:
        """See the port."""
        self._execute(
            """INSERT INTO promotion_votes (promotion_id, account, at, approved, comment) VALUES (?,?,?,?,?)
               ON CONFLICT DO UPDATE SET at=excluded.at, approved=excluded.approved, comment=excluded.comment""",
            (promotion, vote.account, vote.at, vote.approved, vote.comment),
        )

    def votes(self, promotion: PromotionId) -> Sequence[Vote]:
        """In their order."""
        return [_vote(row) for row in self._execute(_VOTES, (promotion,))]

    def due(self, limit: int) -> Sequence[PromotionRow]:
        """See the port."""
        return [_row(row) for row in self._execute(DUE, (self._moment.now, limit)).fetchall()]

    def _one(self, statement: str, values: tuple[Any, ...]) -> PromotionRow | None:
        found = self._execute(statement, values).fetchone()
        return None if found is None else _row(found)


def _told(told: Mapping[str, object]) -> str:
    return json.dumps(told, separators=(",", ":"))


class SqlitePointers:
    """Implements ``ports.metadata.promotions.Pointers``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def now(self, image: ImageId) -> PointerRow | None:
        """The open interval."""
        found = self._execute(NOW, (image,)).fetchone()
        return None if found is None else _pointer(found)

    def point(self, image: ImageId, manifest: ManifestId, tag: str, account: str, promotion: PromotionId) -> None:
        """Closes the interval before."""
        now = self._moment.now
        self._execute("UPDATE pointers SET until=? WHERE image_id=? AND until IS NULL", (now, image))
        self._execute(
            """INSERT INTO pointers (image_id, manifest_id, digest, tag, since, account, promotion_id)
               VALUES (?1, ?2, (SELECT digest FROM manifests WHERE id=?2), ?3, ?4, ?5, ?6)""",
            (image, manifest, tag, now, account, promotion),
        )

    def let_go(self, image: ImageId) -> None:
        """See the port."""
        self._execute("UPDATE pointers SET until=? WHERE image_id=? AND until IS NULL", (self._moment.now, image))

    def before(self, image: ImageId, digest: Digest | None) -> PointerRow | None:
        """See the port."""
        if digest is not None:
            found = self._execute(EVER, (image, digest.raw)).fetchone()
        else:
            current = self.now(image)
            found = self._execute(EARLIER, (image, b"" if current is None else current.digest.raw)).fetchone()
        return None if found is None else _pointer(found)

    def holds(self, image: ImageId, manifest: ManifestId) -> bool:
        """See the port."""
        found = self._execute("SELECT manifest_id FROM pointers WHERE image_id=? AND until IS NULL", (image,)).get
        return bool(found == manifest)

    def open(self) -> Sequence[tuple[ImageId, ManifestId]]:
        """See the port."""
        rows = self._execute("SELECT image_id, manifest_id FROM pointers WHERE until IS NULL")
        return [(ImageId(image), ManifestId(manifest)) for image, manifest in rows]

    def follow(self, source: ImageId, subjects: Collection[Digest], target: ImageId, promotion: PromotionId) -> None:
        """See the port."""
        for subject in subjects:
            self._execute(
                "INSERT OR IGNORE INTO followed (source_id, subject, target_id, promotion_id) VALUES (?,?,?,?)",
                (source, subject.raw, target, promotion),
            )

    def followers(self, source: ImageId, subject: Digest) -> Sequence[Follower]:
        """See the port."""
        return [
            Follower(ImageId(target), RepositoryId(repository), RepositoryName(name), PromotionId(promotion))
            for target, repository, name, promotion in self._execute(FOLLOWERS, (source, subject.raw))
        ]


# --- for reports -----------------------------------------------------------------------------------------------------


def promotion_of(connection: apsw.Connection, promotion: PromotionId) -> tuple[PromotionRow, Sequence[Vote]] | None:
    """One, with its votes."""
    found = connection.execute(BY_ID, (promotion,)).fetchone()
    if found is None:
        return None
    return _row(found), [_vote(row) for row in connection.execute(_VOTES, (promotion,))]


def promotions_of(
    connection: apsw.Connection, before: PromotionId | None, limit: int, state: str, image: str, stage: str
) -> Sequence[PromotionRow]:
    """See the port."""
    conditions, values = ["p.id<?"], [2**62 if before is None else before]
    more: list[str] = []
    for condition, value in (("p.state=?", state), ("t.name=?", image), ("? IN (p.target_stage, tr.name)", stage)):
        if value:
            conditions.append(condition)
            more.append(value)
    statement = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY p.id DESC LIMIT ?"
    return [_row(row) for row in connection.execute(statement, (*values, *more, limit)).fetchall()]


def held_of(
    connection: apsw.Connection, repository: RepositoryName, images: Collection[ImageName] | None
) -> Mapping[ImageName, Held]:
    """One probe of each index an image."""
    named = "" if images is None else "AND i.name IN (SELECT value FROM json_each(?2))"
    rows = connection.execute(
        f"""SELECT i.name, i.id FROM repositories r JOIN images i ON i.repository_id=r.id
            JOIN pointers p ON p.image_id=i.id AND p.until IS NULL WHERE r.name=?1 {named}""",
        (repository,) if images is None else (repository, json.dumps(sorted(images))),
    ).fetchall()
    found: dict[ImageName, Held] = {}
    for name, image in rows:
        current = _pointer(one(connection.execute(NOW, (image,))))
        earlier = connection.execute(EARLIER, (image, current.digest.raw)).fetchone()
        found[ImageName(name)] = Held(current, None if earlier is None else _pointer(earlier))
    return found


def pointers_of(
    connection: apsw.Connection, repository: RepositoryName, image: ImageName, limit: int
) -> Sequence[PointerRow]:
    """Newest first."""
    found = connection.execute(
        "SELECT i.id FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=?2 WHERE r.name=?1",
        (repository, image),
    ).get
    if not isinstance(found, int):
        return ()
    return [_pointer(row) for row in connection.execute(HISTORY, (found, limit)).fetchall()]
