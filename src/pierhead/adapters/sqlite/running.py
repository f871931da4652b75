"""What clusters run: written whole by a report, read by image and by cluster."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import apsw

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.ports.metadata.running import ClusterRow, RunningRow

_COLUMNS: Final = "id, cluster, reference, repository, image, tag, digest, namespace, workload, container, count"
_CLUSTERS: Final = """
SELECT c.cluster, c.stage, c.reported, c.account, (SELECT count(*) FROM running_images i WHERE i.cluster=c.cluster)
FROM running_clusters c
"""
_INSERT: Final = """
INSERT INTO running_images (cluster, reference, repository, image, tag, digest, namespace, workload, container, count)
VALUES (?,?,?,?,?,?,?,?,?,?)
"""
PAGE: Final = f"SELECT {_COLUMNS} FROM running_images WHERE (cluster, id)>(?1, ?2) ORDER BY cluster, id LIMIT ?3"
PAGE_OF_CLUSTER: Final = f"SELECT {_COLUMNS} FROM running_images WHERE cluster=?1 AND id>?2 ORDER BY id LIMIT ?3"
PAGE_OF_IMAGE: Final = f"""
SELECT {_COLUMNS} FROM running_images WHERE image=?4 AND image<>'' AND (cluster, id)>(?1, ?2)
ORDER BY cluster, id LIMIT ?3
"""
PAGE_OF_BOTH: Final = f"""
SELECT {_COLUMNS} FROM running_images WHERE image=?4 AND image<>'' AND cluster=?1 AND id>?2 ORDER BY id LIMIT ?3
"""
OF_IMAGE: Final = f"SELECT {_COLUMNS} FROM running_images WHERE image=?1 AND image<>'' ORDER BY cluster, id LIMIT ?2"
KNOWN_AS: Final = """
WITH image AS (SELECT i.id FROM repositories r JOIN images i ON i.repository_id=r.id AND i.name=?2 WHERE r.name=?1)
SELECT m.digest FROM image CROSS JOIN manifests m ON m.digest=?3
JOIN manifest_links l ON l.image_id=image.id AND l.manifest_id=m.id
UNION SELECT m.digest FROM image CROSS JOIN manifest_children c ON c.child=?3 JOIN manifests m ON m.id=c.manifest_id
JOIN manifest_links l ON l.image_id=image.id AND l.manifest_id=m.id
"""


class SqliteRunning:
    """Implements ``ports.metadata.running.Running``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def find(self, cluster: str) -> ClusterRow | None:
        """See the port."""
        row = self._execute(f"{_CLUSTERS} WHERE c.cluster=?", (cluster,)).fetchone()
        return None if row is None else ClusterRow(*row)

    def rows(self, cluster: str) -> Sequence[RunningRow]:
        """See the port."""
        found = self._execute(f"SELECT {_COLUMNS} FROM running_images WHERE cluster=? ORDER BY id", (cluster,))
        return [_row(one) for one in found]

    def replace(self, cluster: ClusterRow, rows: Collection[RunningRow] | None) -> None:
        """See the port."""
        self._execute(
            """INSERT INTO running_clusters (cluster, stage, reported, account) VALUES (?,?,?,?)
               ON CONFLICT (cluster) DO UPDATE SET stage=excluded.stage, reported=excluded.reported,
               account=excluded.account""",
            (cluster.cluster, cluster.stage, cluster.reported, cluster.account),
        )
        if rows is None:
            return
        self._execute("DELETE FROM running_images WHERE cluster=?", (cluster.cluster,))
        for row in rows:
            digest = None if row.digest is None else row.digest.raw
            image = (row.reference, row.repository, row.image, row.tag or "", digest)
            place = (row.namespace, row.workload, row.container, row.count)
            self._execute(_INSERT, (cluster.cluster, *image, *place))

    def forget(self, cluster: str) -> bool:
        """See the port."""
        self._execute("DELETE FROM running_images WHERE cluster=?", (cluster,))
        gone = self._execute("DELETE FROM running_clusters WHERE cluster=? RETURNING cluster", (cluster,)).fetchone()
        return gone is not None


class SqliteRunningReports:
    """Implements ``ports.metadata.running.RunningReports``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def clusters(self) -> Sequence[ClusterRow]:
        """See the port."""
        return [ClusterRow(*row) for row in self._execute(f"{_CLUSTERS} ORDER BY c.cluster")]

    def page(self, cluster: str | None, image: str | None, after: tuple[str, int], limit: int) -> Sequence[RunningRow]:
        """See the port."""
        if cluster is not None:
            last = after[1] if after[0] == cluster else 0
            statement = PAGE_OF_CLUSTER if image is None else PAGE_OF_BOTH
            rows = self._execute(statement, (cluster, last, limit) if image is None else (cluster, last, limit, image))
        elif image is not None:
            rows = self._execute(PAGE_OF_IMAGE, (*after, limit, image))
        else:
            rows = self._execute(PAGE, (*after, limit))
        return [_row(row) for row in rows]

    def of_image(self, image: ImageName, limit: int) -> Sequence[RunningRow]:
        """See the port."""
        return [_row(row) for row in self._execute(OF_IMAGE, (image, limit))]

    def known_as(self, repository: RepositoryName, image: ImageName, digest: Digest) -> Sequence[Digest]:
        """See the port."""
        rows: list[Any] = self._execute(KNOWN_AS, (repository, image, digest.raw)).fetchall()
        return [Digest.from_raw(raw) for (raw,) in rows]


def _row(row: Sequence[Any]) -> RunningRow:
    id_, cluster, reference, repository, image, tag, digest, *place = row
    known = None if digest is None else Digest.from_raw(digest)
    return RunningRow(id_, cluster, reference, repository, image, Tag(tag) if tag else None, known, *place)
