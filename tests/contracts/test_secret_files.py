"""Passwords in files: what is one, what is none, and what is seen of a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pierhead.adapters.secret_files import SecretFile
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n"])
async def test_the_only_line_is_the_password(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    assert await SecretFile(tmp_path / "p").read() == SecretText("secret")


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\n", b"x" * 5_000])
async def test_what_is_not_one_line_may_be_half_written_and_takes_nothing_back(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(SecretAway) as caught:
        await SecretFile(tmp_path / "p").read()
    assert caught.value.why.startswith(str(tmp_path / "p"))
    assert str(tmp_path) not in caught.value.told


async def test_a_file_that_is_not_there_is_gone_and_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SecretGone, match="no such file or directory"):
        await SecretFile(tmp_path / "p").read()
    with pytest.raises(SecretAway, match="is a directory"):
        await SecretFile(tmp_path).read()


def test_a_change_is_seen_at_the_stamp_also_behind_a_link_as_kubernetes_replaces_it(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "password").write_text(version)
    (tmp_path / "data").symlink_to("v1")
    file = SecretFile(tmp_path / "data" / "password")
    first = file.stamp()
    assert file.stamp() == first
    (tmp_path / "new").symlink_to("v2")
    os.rename(tmp_path / "new", tmp_path / "data")
    assert file.stamp() != first
    (tmp_path / "data").unlink()
    assert file.stamp() not in (first, None)
