"""Upload sessions: opened, ended, reaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pierhead.domain.names import RepositoryName
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import RepositoryReadOnly, TooManyUploads
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import UploadRow


def open_upload(tx: Tx, row: UploadRow, name: RepositoryName, most: int) -> None:
    """Raises RepositoryReadOnly, TooManyUploads if the account has ``most`` open already."""
    if tx.repositories.policy(row.repository) is WritePolicy.DENY:
        raise RepositoryReadOnly(name)
    if tx.uploads.count(row.account) >= most:
        raise TooManyUploads(row.account, most)
    tx.uploads.open(row)


def cancel_upload(tx: Tx, upload: str) -> bool:
    """Forgets an open session; False if it is not open."""
    return tx.uploads.end(upload, None)


def forget_idle(tx: Tx, before: int, written: Mapping[str, int], limit: int) -> tuple[Sequence[str], bool]:
    """Forgets sessions, ended ones too, that were begun before then and not written to since.

    ``written`` says when the bytes of a session were last written, if it has any. Looks at ``limit`` sessions; returns
    those that it forgot, and whether there may be more.
    """
    seen = tx.uploads.idle(before, limit)
    alive = {upload: written[upload] for upload in seen if written.get(upload, 0) >= before}
    tx.uploads.prolong(alive)
    idle = [upload for upload in seen if upload not in alive]
    tx.uploads.forget(idle)
    return idle, len(seen) >= limit
