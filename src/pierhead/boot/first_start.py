"""The account ``admin``: made at the first start, its password written where only the owner of the data can read it."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Final

from pierhead.adapters.passwords import hash_password
from pierhead.commits.audit import PROGRAM, record
from pierhead.ports.clock import Entropy
from pierhead.ports.metadata.store import Store, Tx

PASSWORD_FILE: Final = "admin.password"
_NOTE: Final = "admin.password_hash"


async def admin_hash(store: Store, entropy: Entropy, data: Path) -> str:
    """The Argon2 hash of ``admin``'s password, which is made if there is none yet.

    The file is durable before the hash is, so a crash between the two makes another password, not an account without.
    """
    known = await store.write(lambda tx: tx.notes.get(_NOTE), durable=False, vital=True)
    return known if known is not None else await reset_admin(store, entropy, data)


async def known_admin_hash(store: Store) -> str | None:
    """What stands in the data folder now: ``pierhead admin reset-password`` may have changed it meanwhile."""
    return await store.report(lambda reports: reports.note(_NOTE))


async def reset_admin(store: Store, entropy: Entropy, data: Path) -> str:
    """Makes a new password for ``admin``, writes it to the file with mode 0600, and returns its hash. What clients kept
    in place of the old one holds no more."""
    password = base64.urlsafe_b64encode(entropy.token(18)).decode()
    hashed = await asyncio.to_thread(hash_password, password)
    await asyncio.to_thread(_write, data, password)

    def commit(tx: Tx) -> None:
        tx.notes.put(_NOTE, hashed)
        tx.refreshes.revoke("admin", None)
        record(tx, "password", PROGRAM, {"subject": "admin"}, {})

    await store.write(commit, vital=True)
    return hashed


def _write(data: Path, password: str) -> None:
    path = data / PASSWORD_FILE
    scratch = data / f".{PASSWORD_FILE}"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)  # one that a crash or somebody else left here may be open to others
        os.write(fd, f"{password}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(scratch, path)
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
