"""Repositories, images, what upstreams said of tags, and leases on work."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Final, Protocol

import apsw

from pierhead.adapters.sqlite.one import one
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.patterns import TagPatterns
from pierhead.domain.policy import OnceRule, WritePolicy, Writing
from pierhead.ports.metadata.values import ImageId, RepositoryId, RepositoryRow

ROWS: Final = "SELECT id, name, kind, write_policy, once FROM repositories ORDER BY name"


class _Moment(Protocol):
    now: int


def repository_row(row: tuple[int, str, str, str, str]) -> RepositoryRow:
    """A row of ``ROWS``."""
    id_, name, kind, policy, once = row
    return RepositoryRow(RepositoryId(id_), RepositoryName(name), kind, WritePolicy(policy), _rules(once))


def _text(once: tuple[OnceRule, ...]) -> str:
    """Rules as they are kept: empty for none, which costs nothing to read."""
    kept = [{"where": one.where, "tags": one.tags.texts, "moving": sorted(one.moving)} for one in once]
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _rules(text: str) -> tuple[OnceRule, ...]:
    if not text:
        return ()
    return tuple(OnceRule(one["where"], TagPatterns(one["tags"]), frozenset(one["moving"])) for one in json.loads(text))


class SqliteRepositories:
    """Implements ``ports.metadata.store.Repositories``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._writing: dict[RepositoryId, Writing] = {}
        self._rules: tuple[str, tuple[OnceRule, ...]] = ("", ())
        """The text of rules that was read last, and what it came to: repositories mostly share one."""

    def forget(self) -> None:
        """What was read may not hold any more: another transaction begins, or a part of this one was undone."""
        self._writing.clear()

    def ensure(
        self, name: RepositoryName, kind: str, policy: WritePolicy, once: tuple[OnceRule, ...] = ()
    ) -> RepositoryRow:
        """The kind of a repository that is there stays what it is; the caller compares."""
        self.forget()
        row = one(
            self._execute(
                """INSERT INTO repositories (name, kind, write_policy, once) VALUES (?,?,?,?)
               ON CONFLICT (name) DO UPDATE SET write_policy=excluded.write_policy, once=excluded.once
               RETURNING id, kind""",
                (name, kind, policy.value, _text(once)),
            )
        )
        return RepositoryRow(RepositoryId(row[0]), name, row[1], policy, once)

    def all(self) -> Sequence[RepositoryRow]:
        """Those that the config stopped naming too."""
        return [repository_row(row) for row in self._execute(ROWS)]

    def policy(self, repository: RepositoryId) -> WritePolicy:
        """As it stands in this transaction, whose operations all ask the same."""
        return self.writing(repository).policy

    def writing(self, repository: RepositoryId) -> Writing:
        """As it stands in this transaction."""
        found = self._writing.get(repository)
        if found is None:
            policy, once = one(self._execute("SELECT write_policy, once FROM repositories WHERE id=?", (repository,)))
            if once and once != self._rules[0]:
                self._rules = once, _rules(once)
            found = Writing(WritePolicy(policy), self._rules[1] if once else ())
            self._writing[repository] = found
        return found


class SqliteImages:
    """Implements ``ports.metadata.store.Images``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment
        self._found: dict[tuple[RepositoryId, ImageName], ImageId] = {}

    def forget(self) -> None:
        """As ``SqliteRepositories.forget``."""
        self._found.clear()

    def find(self, repository: RepositoryId, name: ImageName) -> ImageId | None:
        """None if nothing was ever kept under this name."""
        found = self._found.get((repository, name))
        if found is not None:
            return found
        row = self._execute("SELECT id FROM images WHERE repository_id=? AND name=?", (repository, name)).get
        if not isinstance(row, int):
            return None
        self._found[repository, name] = ImageId(row)
        return ImageId(row)

    def ensure(self, repository: RepositoryId, name: ImageName) -> ImageId:
        """Finds or makes it."""
        found = self.find(repository, name)
        if found is not None:
            return found
        row = one(
            self._execute(
                "INSERT INTO images (repository_id, name, created) VALUES (?,?,?) RETURNING id",
                (repository, name, self._moment.now),
            )
        )
        return ImageId(row[0])


class SqliteCache:
    """Implements ``ports.metadata.store.Cache``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def note(self, image: ImageId, tag: Tag, digest: Digest, checked: int) -> None:
        """The newest word counts."""
        self._execute(
            """INSERT INTO cache_entries (image_id, tag, digest, checked) VALUES (?,?,?,?)
               ON CONFLICT DO UPDATE SET digest=excluded.digest, checked=excluded.checked""",
            (image, tag, digest.raw, checked),
        )

    def forget(self, image: ImageId, tag: Tag) -> None:
        """As if the upstream had never been asked."""
        self._execute("DELETE FROM cache_entries WHERE image_id=? AND tag=?", (image, tag))

    def waiting(self, image: ImageId, digest: Digest) -> Sequence[Tag]:
        """By name."""
        rows = self._execute(
            "SELECT tag FROM cache_entries WHERE image_id=? AND digest=? ORDER BY tag", (image, digest.raw)
        )
        return [Tag(tag) for (tag,) in rows]


class SqliteJobs:
    """Implements ``ports.metadata.store.Jobs``."""

    def __init__(self, connection: apsw.Connection, moment: _Moment) -> None:
        self._execute = connection.execute
        self._moment = moment

    def take(self, name: str, holder: str, until: int) -> bool:
        """The holder itself may prolong."""
        row = self._execute(
            """INSERT INTO job_leases (name, holder, until) VALUES (?,?,?)
               ON CONFLICT (name) DO UPDATE SET holder=excluded.holder, until=excluded.until
               WHERE holder=excluded.holder OR until<=? RETURNING name""",
            (name, holder, until, self._moment.now),
        ).fetchone()
        return row is not None


class SqliteNotes:
    """Implements ``ports.metadata.store.Notes``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def get(self, name: str) -> str | None:
        """None if it was never put."""
        found = self._execute("SELECT value FROM settings WHERE name=?", (name,)).get
        return found if isinstance(found, str) else None

    def put(self, name: str, value: str) -> None:
        """Takes the place of what stood there."""
        self._execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?,?)", (name, value))

    def keep_only(self, prefix: str, names: Collection[str]) -> None:
        """There are few notes, so that none of them needs an index."""
        self._execute(
            """DELETE FROM settings WHERE substr(name, 1, ?1)=?2
               AND substr(name, ?1 + 1) NOT IN (SELECT value FROM json_each(?3))""",
            (len(prefix), prefix, json.dumps(list(names))),
        )
