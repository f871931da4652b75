"""A blob arrives: stored once, mended where the disk lost it, and nothing left of what was refused."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pierhead.commits.blob import Place
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import DigestMismatch, RepositoryReadOnly, UploadUnknown
from pierhead.ports.blobs import SendFile
from pierhead.repositories.hosted import Hosted
from pierhead.repositories.kind import StoredBlob
from pierhead.repositories.landing import land
from tests.peers.images import random_bytes
from tests.repositories.house import ANNA, House, read

BODY = random_bytes(100_000, 1)
DIGEST = Digest.of(BODY)
ONE, OTHER = ImageName("one"), ImageName("other")


async def send(
    house: House, hosted: Hosted, body: bytes = BODY, image: ImageName = ONE, *, upload: str | None = None
) -> None:
    incoming = await house.blobs.begin(house.parts.entropy.token(16).hex(), "sha256", len(body))
    await incoming.append([body])
    place = Place(hosted.row_id, hosted.name, image, house.parts.lease, upload)
    await land(incoming, DIGEST, place, house.store, house.blobs)


def files(house: House) -> list[str]:
    """Everything that lies in the folder as bytes of blobs or uploads."""
    found = []
    for folder in ("blobs", "uploads"):
        for top, _, names in os.walk(house.root / folder):
            found += [os.path.join(top, name) for name in names if name != "layout"]
    return found


def cut(path: str) -> None:
    os.chmod(path, 0o600)
    os.truncate(path, 10)


async def stored(hosted: Hosted, image: ImageName = ONE) -> bytes:
    found = await hosted.blob(ANNA, image, DIGEST, head=False)
    assert isinstance(found, StoredBlob)
    return await read(found)


async def test_the_same_bytes_for_another_image_are_stored_once(house: House) -> None:
    hosted = await house.hosted("a")
    await send(house, hosted)
    before = files(house)
    await send(house, hosted, image=OTHER)
    assert files(house) == before
    assert len(before) == 1
    assert await stored(hosted) == await stored(hosted, OTHER) == BODY


async def test_many_who_send_the_same_bytes_at_once_leave_one_file(house: House) -> None:
    hosted = await house.hosted("a")
    await asyncio.gather(*(send(house, hosted, image=ImageName(f"image-{n}")) for n in range(32)))
    assert len(files(house)) == 1
    for number in range(32):
        assert await stored(hosted, ImageName(f"image-{number}")) == BODY


async def test_a_push_mends_a_file_that_the_disk_lost_or_cut(house: House) -> None:
    hosted = await house.hosted("a")
    await send(house, hosted)
    found = await hosted.blob(ANNA, ONE, DIGEST, head=False)
    assert isinstance(found, StoredBlob)
    assert isinstance(found.delivery, SendFile)
    for damage in (os.unlink, cut):
        for path in files(house):
            damage(path)
        await send(house, hosted)
        assert await stored(hosted) == BODY
        assert len(files(house)) == 1


async def test_other_bytes_are_refused_and_nothing_is_left(house: House) -> None:
    hosted = await house.hosted("a")
    with pytest.raises(DigestMismatch):
        await send(house, hosted, BODY + b"!")
    assert files(house) == []
    assert await house.count("blobs") == 0


async def test_a_refused_commit_leaves_no_bytes(house: House) -> None:
    hosted = await house.hosted("a")
    with pytest.raises(UploadUnknown):
        await send(house, hosted, upload="0" * 32)
    await house.store.write(lambda tx: tx.repositories.ensure(hosted.name, "hosted", WritePolicy.DENY))
    with pytest.raises(RepositoryReadOnly):
        await send(house, hosted)
    assert files(house) == []
    assert await house.count("blobs") == 0


async def test_a_small_blob_lies_in_its_row(house: House, tmp_path: Path) -> None:
    hosted = await house.hosted("a")
    small = b"small"
    digest = Digest.of(small)
    for image in (ONE, OTHER):
        incoming = await house.blobs.begin(house.parts.entropy.token(16).hex(), "sha256", len(small))
        await incoming.append([small])
        place = Place(hosted.row_id, hosted.name, image, house.parts.lease)
        await land(incoming, digest, place, house.store, house.blobs)
        assert await read(await hosted.blob(ANNA, image, digest, head=False)) == small
    assert files(house) == []
