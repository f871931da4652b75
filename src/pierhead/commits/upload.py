"""Upload sessions: opened, ended, reaped."""

from __future__ import annotations

from collections.abc import Sequence

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


def forget_uploads(tx: Tx, uploads: Sequence[str]) -> None:
    """Forgets sessions that ended or were given up long ago."""
    tx.uploads.forget(uploads)
