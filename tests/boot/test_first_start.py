"""The account admin: its password is random, known to the data folder's owner alone, and survives whatever happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pierhead.adapters.passwords import Argon2, PasswordAccount, PasswordSource
from pierhead.adapters.sqlite.store import SqliteStore
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot.first_start import PASSWORD_FILE, admin_hash, known_admin_hash, reset_admin
from pierhead.boot.reset import NoDataFolder, reset
from pierhead.boot.wire import DATABASE_FILE, make_folder
from pierhead.domain.access import Principal
from pierhead.ports.faults import NoFaults
from pierhead.ports.identity import Credential

ADMIN = Principal("admin", ())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / DATABASE_FILE, SystemClock(), NoFaults(), shared=True)
    yield opened
    await opened.close()


def written(data: Path) -> str:
    return (data / PASSWORD_FILE).read_text().removesuffix("\n")


def content(data: Path) -> bytes:
    """Of the database, with what is not yet in its main file."""
    return b"".join(path.read_bytes() for path in data.glob(f"{DATABASE_FILE}*"))


async def fits(hashed: str | None, password: str) -> bool:
    return await PasswordSource({"admin": PasswordAccount(ADMIN, hashed)}, Argon2()).verify(
        Credential("admin", password)
    ) == (ADMIN)


async def test_the_first_start_writes_a_password_that_only_the_owner_reads(store: SqliteStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        hashed = await admin_hash(store, SystemEntropy(), tmp_path)
    finally:
        os.umask(before)
    assert await fits(hashed, written(tmp_path))
    assert len(written(tmp_path)) == 24
    file = (tmp_path / PASSWORD_FILE).stat()
    assert stat.S_IMODE(file.st_mode) == 0o600
    assert file.st_uid == os.getuid()


async def test_later_starts_leave_password_and_file_as_they_are(store: SqliteStore, tmp_path: Path) -> None:
    hashed = await admin_hash(store, SystemEntropy(), tmp_path)
    inode = (tmp_path / PASSWORD_FILE).stat().st_ino
    assert await admin_hash(store, SystemEntropy(), tmp_path) == hashed
    assert (tmp_path / PASSWORD_FILE).stat().st_ino == inode
    (tmp_path / PASSWORD_FILE).unlink()
    assert await admin_hash(store, SystemEntropy(), tmp_path) == hashed
    assert not (tmp_path / PASSWORD_FILE).exists()


async def test_the_database_holds_the_hash_and_never_the_password(store: SqliteStore, tmp_path: Path) -> None:
    hashed = await admin_hash(store, SystemEntropy(), tmp_path)
    assert await known_admin_hash(store) == hashed
    held = content(tmp_path)
    assert hashed.encode() in held
    assert written(tmp_path).encode() not in held


async def test_no_two_folders_have_the_same_password(store: SqliteStore, tmp_path: Path) -> None:
    passwords = set()
    for _ in range(5):
        await reset_admin(store, SystemEntropy(), tmp_path)
        passwords.add(written(tmp_path))
    assert len(passwords) == 5


async def test_a_crash_before_the_hash_is_stored_makes_another_password_and_no_account_without_one(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    async def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", crash)
        with pytest.raises(Crash):
            await reset_admin(store, SystemEntropy(), tmp_path)
    left = written(tmp_path)
    hashed = await admin_hash(store, SystemEntropy(), tmp_path)
    assert written(tmp_path) != left
    assert await fits(hashed, written(tmp_path))
    assert not await fits(hashed, left)


async def test_a_full_disk_leaves_the_old_password_in_force(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = await admin_hash(store, SystemEntropy(), tmp_path)
    password = written(tmp_path)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            await reset_admin(store, SystemEntropy(), tmp_path)
    assert await known_admin_hash(store) == hashed
    assert await fits(hashed, password)
    assert written(tmp_path) == password


async def test_what_an_earlier_crash_left_is_neither_followed_nor_left_open_to_others(
    store: SqliteStore, tmp_path: Path
) -> None:
    scratch = tmp_path / f".{PASSWORD_FILE}"
    scratch.write_text("x" * 1_000)
    scratch.chmod(0o666)
    await reset_admin(store, SystemEntropy(), tmp_path)
    assert stat.S_IMODE((tmp_path / PASSWORD_FILE).stat().st_mode) == 0o600
    assert len(written(tmp_path)) == 24
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    scratch.symlink_to(victim)
    with pytest.raises(OSError, match=r"[Ll]evels|[Ll]ink"):
        await reset_admin(store, SystemEntropy(), tmp_path)
    assert victim.read_text() == "untouched"


async def test_reset_password_holds_beside_a_server_that_uses_the_folder(store: SqliteStore, tmp_path: Path) -> None:
    before = await admin_hash(store, SystemEntropy(), tmp_path)
    old = written(tmp_path)
    assert await asyncio.to_thread(reset, tmp_path) == tmp_path / PASSWORD_FILE
    account = PasswordAccount(ADMIN, before, renewed=lambda: known_admin_hash(store))
    source = PasswordSource({"admin": account}, Argon2())
    assert await source.verify(Credential("admin", written(tmp_path))) == ADMIN
    assert await source.verify(Credential("admin", old)) != ADMIN


def test_reset_password_of_a_folder_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoDataFolder, match="is no data folder"):
        reset(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def volume() -> Iterator[Path]:
    """As Kubernetes mounts one: of root, and others may write to it."""
    place = Path(tempfile.mkdtemp(prefix="pierhead-volume-"))
    place.chmod(0o777)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def test_a_folder_of_another_account_is_refused_with_the_way_out_and_a_folder_in_it_is_taken(volume: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as refused:
            make_folder(volume)
        make_folder(volume / "pierhead")
    finally:
        os.seteuid(0)
    assert refused.value.filename == str(volume)
    assert (
        f"belongs to another account, which alone can close it to others. Name a folder in it: {volume}/pierhead"
        in (str(refused.value))
    )
    assert stat.S_IMODE((volume / "pierhead").stat().st_mode) == 0o700
