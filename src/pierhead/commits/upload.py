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
    may_open(tx.repositories.policy(row.repository), tx.uploads.count(row.account), row, name, most)
    tx.uploads.open(row)


def may_open(policy: WritePolicy, open_now: int, row: UploadRow, name: RepositoryName, most: int) -> None:
    """The rule of ``open_upload`` for who has read what it rests on."""
    if policy is WritePolicy.DENY:
        raise RepositoryReadOnly(name)
    if open_now >= most:
        raise TooManyUploads(row.account, most)


def save_uploads(tx: Tx, rows: Sequence[UploadRow]) -> None:
    """Sessions that were begun before now get their rows, unless they have got one meanwhile."""
    for row in rows:
        if tx.uploads.find(row.id) is None:
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
