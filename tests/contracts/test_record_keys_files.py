"""The contract of keys that sign records, kept by the adapter that keeps them in files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pierhead.adapters.keys.records import RecordKeys
from pierhead.adapters.public_keys import keys_in
from pierhead.adapters.system import SystemClock, SystemEntropy


def keys_of(folder: Path) -> RecordKeys:
    return RecordKeys(folder / "record-keys", SystemClock(), SystemEntropy())


def test_nothing_is_made_before_a_key_is_needed_and_then_just_one(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)
    assert not (tmp_path / "record-keys").exists()
    assert keys.make_first()
    assert not keys.make_first()
    assert not keys_of(tmp_path).make_first()
    (half,) = keys.public()
    assert half.signs


def test_what_is_signed_is_verified_by_the_public_half_and_by_no_other(tmp_path: Path) -> None:
    keys, others = keys_of(tmp_path / "a"), keys_of(tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    key_id, signature = keys.sign(b"message")
    (half,) = keys.public()
    assert key_id == half.id
    (key,) = keys_in(half.pem.encode())
    assert key.verifies(b"message", signature)
    assert not key.verifies(b"messagf", signature)
    assert not keys_in(others.public()[0].pem.encode())[0].verifies(b"message", signature)
    assert keys.sign(b"message") == (key_id, signature), "a transaction that is run again writes the same"
    der = serialization.load_pem_public_key(half.pem.encode()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert key_id == hashlib.sha256(der).hexdigest()


def test_all_processes_have_the_same_key_and_know_a_new_one_at_once(tmp_path: Path) -> None:
    one, two = keys_of(tmp_path), keys_of(tmp_path)
    assert one.sign(b"x") == two.sign(b"x")
    before = one.public()[0]
    new = two.rotate()
    assert one.sign(b"x")[0] == new.id != before.id
    assert [half.id for half in one.public()] == [new.id, before.id]
    assert [half.signs for half in one.public()] == [True, False]


def test_private_halves_are_open_to_their_owner_only_and_go_when_they_are_exchanged(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)
    keys.sign(b"x")
    folder = tmp_path / "record-keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    (private,) = folder.glob("*.key")
    assert private.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(keys) + repr(keys.public())
    os.chmod(private, 0o644)
    assert keys_of(tmp_path).sign(b"x")
    assert private.stat().st_mode & 0o777 == 0o600
    keys.rotate()
    assert not private.exists()
    assert len(list(folder.glob("*.pub"))) == 2
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("body", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_signs_nothing_and_is_named(tmp_path: Path, body: bytes) -> None:
    keys_of(tmp_path).sign(b"x")
    (private,) = (tmp_path / "record-keys").glob("*.key")
    private.write_bytes(body)
    with pytest.raises(OSError, match="holds no key"):
        keys_of(tmp_path).sign(b"x")


def test_the_key_of_another_name_is_not_used(tmp_path: Path) -> None:
    keys_of(tmp_path).sign(b"x")
    (tmp_path / "b").mkdir()
    keys_of(tmp_path / "b").sign(b"x")
    (mine,), (other,) = (list((folder / "record-keys").glob("*.key")) for folder in (tmp_path, tmp_path / "b"))
    mine.write_bytes(other.read_bytes())
    with pytest.raises(OSError, match="holds no key"):
        keys_of(tmp_path).sign(b"x")
