"""Upload sessions. What they hold so far is the blob store's to say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import apsw

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.ports.metadata.values import RepositoryId, UploadRow

SELECT_UPLOAD = "SELECT id, repository_id, image, account, algorithm, created, digest FROM uploads WHERE id=?"


def upload_row(row: Sequence[Any]) -> UploadRow:
    """From the columns of ``SELECT_UPLOAD``."""
    return UploadRow(
        row[0],
        RepositoryId(row[1]),
        ImageName(row[2]),
        row[3],
        row[4],
        row[5],
        None if row[6] is None else Digest.from_raw(row[6]),
    )


class SqliteUploads:
    """Implements ``ports.metadata.store.Uploads``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def open(self, row: UploadRow) -> None:
        """A new session."""
        self._execute(
            "INSERT INTO uploads (id, repository_id, image, account, algorithm, created) VALUES (?,?,?,?,?,?)",
            (row.id, row.repository, row.image, row.account, row.algorithm, row.created),
        )

    def find(self, upload: str) -> UploadRow | None:
        """Open or ended."""
        row = self._execute(SELECT_UPLOAD, (upload,)).fetchone()
        return None if row is None else upload_row(row)

    def count(self, account: str) -> int:
        """Open ones."""
        found = self._execute("SELECT count(*) FROM uploads WHERE account=? AND digest IS NULL", (account,)).get
        assert isinstance(found, int)
        return found

    def end(self, upload: str, digest: Digest | None) -> bool:
        """With a digest the row stays until it is reaped."""
        if digest is None:
            self._execute("DELETE FROM uploads WHERE id=? AND digest IS NULL", (upload,))
        else:
            self._execute("UPDATE uploads SET digest=? WHERE id=? AND digest IS NULL", (digest.raw, upload))
        return self._connection.changes() > 0

    def conclude(self, row: UploadRow, digest: Digest) -> bool:
        """One statement, whether the row is there by now or not."""
        self._execute(
            """INSERT INTO uploads (id, repository_id, image, account, algorithm, created, digest)
               VALUES (?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET digest=excluded.digest WHERE digest IS NULL""",
            (row.id, row.repository, row.image, row.account, row.algorithm, row.created, digest.raw),
        )
        return self._connection.changes() > 0

    def idle(self, before: int, limit: int) -> Sequence[str]:
        """The oldest first."""
        rows = self._execute("SELECT id FROM uploads WHERE created<? ORDER BY created LIMIT ?", (before, limit))
        return [upload for (upload,) in rows]

    def prolong(self, uploads: Mapping[str, int]) -> None:
        """They go to the end of the line that ``idle`` reads."""
        for upload, at in uploads.items():
            self._execute("UPDATE uploads SET created=? WHERE id=?", (at, upload))

    def forget(self, uploads: Collection[str]) -> None:
        """Open or ended."""
        for upload in uploads:
            self._execute("DELETE FROM uploads WHERE id=?", (upload,))
