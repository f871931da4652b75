"""The embedded blob store: the contract, and what only files and several processes can do."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.adapters.files.layout import FolderInUse, lock_folder
from pierhead.domain.digest import Digest
from pierhead.ports.blobs import StoreFailed, UploadBusy, UploadMissing
from tests.contracts.blobs import (
    BlobStoreContract,
    fetch,
    kept,
    land,
    pattern,
    play,
    push,
    stored,
    upload_id,
)
from tests.contracts.files import Another, Drawn, files_below, line, neighbour, nudge, start, stores
from tests.effort import examples


def modes_below(root: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Permissions of folders, and of files."""
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    folders = {str(path): mode for path, mode in modes.items() if path.is_dir()}
    return folders, {str(path): mode for path, mode in modes.items() if not path.is_dir()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture
def root(drawn: Drawn) -> Iterator[Path]:
    yield drawn.root
    drawn.sweep()


class TestFiles(BlobStoreContract):
    @pytest.fixture
    def another(self, root: Path) -> Iterator[Another]:
        with stores(root) as made:
            yield made


@pytest.fixture
def another(root: Path) -> Iterator[Another]:
    with stores(root) as made:
        yield made


@settings(max_examples=examples(40))
@given(steps=st.lists(st.one_of(st.integers(0, 60_000), st.sampled_from(["same", "other"])), max_size=12))
def test_whatever_the_order_of_appends_and_resumes_the_digest_is_that_of_all_bytes(
    steps: list[int | str], drawn: Drawn
) -> None:
    with stores(drawn.root) as another:
        asyncio.run(play(another, steps))
    drawn.sweep()


async def test_a_small_upload_of_known_length_touches_no_file(another: Another, root: Path) -> None:
    store = await another()
    before = files_below(root)
    incoming = await store.begin(upload_id(1), "sha256", 5000)
    await incoming.append([pattern(5000)])
    assert files_below(root) == before
    assert (await land(incoming)).body == pattern(5000)
    assert files_below(root) == before


async def test_folders_and_files_are_the_owner_s_alone_and_blobs_are_read_only(another: Another, root: Path) -> None:
    store = await another()
    landed = await push(store, pattern(50_000))
    incoming = await store.begin(upload_id(2), "sha256")
    await incoming.append([b"x"])
    folders, files = modes_below(root)
    await incoming.discard()
    assert set(folders.values()) == {0o700}
    assert files[f"{root}/uploads/{upload_id(2)}"] == 0o600
    assert files[store.ground.layout.blob(landed.digest, landed.generation)] == 0o400


async def test_bytes_on_the_disk_lie_under_their_digest_and_generation(another: Another, root: Path) -> None:
    landed = await push(await another(), pattern(50_000))
    encoded = landed.digest.hex
    assert files_below(root) == ["blobs/layout", f"blobs/sha256/{encoded[:2]}/{encoded}.{landed.generation}"]


async def test_what_was_reserved_and_not_used_is_given_back(another: Another, root: Path) -> None:
    store = await another()
    incoming = await store.begin(upload_id(1), "sha256", 8_000_000)
    await incoming.append([pattern(100_000)])
    assert store.held(upload_id(1)) == 100_000
    await incoming.keep()
    assert (root / "uploads" / upload_id(1)).stat().st_blocks * 512 < 200_000
    await store.drop(upload_id(1))


async def test_a_second_start_draws_nothing_and_a_lost_folder_is_drawn_again(another: Another, root: Path) -> None:
    await another()
    drawn = (root / "blobs" / "layout").stat().st_ino
    await another()
    assert (root / "blobs" / "layout").stat().st_ino == drawn
    (root / "blobs" / "sha256" / Digest.of(pattern(50_000)).hex[:2]).rmdir()
    store = await another()
    assert fetch(store, await push(store, pattern(50_000))) == pattern(50_000)


async def test_a_data_folder_that_cannot_be_made_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFailed, match="file/data"):
        await start(tmp_path / "file" / "data")


async def test_a_name_that_is_no_upload_id_never_becomes_a_path(another: Another) -> None:
    store = await another()
    for name in ("../lock", "a" * 31, "A" * 32, "", "0" * 31 + "/"):
        with pytest.raises(ValueError, match="upload id"):
            await store.begin(name, "sha256")
        with pytest.raises(ValueError, match="upload id"):
            store.held(name)


async def test_a_symbolic_link_in_place_of_an_upload_is_not_followed(another: Another, root: Path) -> None:
    store = await another()
    outside = root.parent / "outside"
    outside.write_bytes(b"precious")
    (root / "uploads" / upload_id(1)).symlink_to(outside)
    assert store.held(upload_id(1)) is None
    with pytest.raises(UploadMissing):
        await store.resume(upload_id(1), "sha256")
    assert outside.read_bytes() == b"precious"


async def test_an_upload_s_name_that_a_crash_left_on_a_stored_blob_cannot_change_the_blob(
    another: Another, root: Path
) -> None:
    store = await another()
    landed = await push(store, pattern(50_000))
    os.link(store.ground.layout.blob(landed.digest, landed.generation), root / "uploads" / upload_id(1))
    assert store.held(upload_id(1)) is None
    with pytest.raises(UploadMissing):
        await store.resume(upload_id(1), "sha256")
    incoming = await store.begin(upload_id(1), "sha256")
    await incoming.append([b"other bytes"])
    await incoming.discard()
    assert fetch(store, landed) == pattern(50_000)


async def test_a_scan_passes_over_names_that_no_landing_makes(another: Another, root: Path) -> None:
    store = await another()
    landed = await push(store, pattern(50_000))
    folder = Path(store.ground.layout.blob_folder(landed.digest))
    for name in ("notes.txt", "ab.0123456789abcdef", landed.digest.hex, f"{landed.digest.hex}.short"):
        (folder / name).write_bytes(b"x")
    assert [one.digest for one in await stored(store)] == [landed.digest]


async def test_a_large_scan_comes_in_batches_of_a_thousand(another: Another) -> None:
    store = await another()
    for number in range(1500):
        with open(store.ground.layout.blob(Digest.of(b"%d" % number), f"{number:016x}"), "wb"):  # noqa: ASYNC230
            pass
    assert [len(batch) async for batch in store.scan()] == [1000, 500]


async def test_another_process_cannot_write_to_an_upload_that_is_held_here(another: Another, root: Path) -> None:
    store = await another()
    incoming = await store.begin(upload_id(1), "sha256")
    with neighbour(root, "upload", upload_id(1), "10", "resume") as process:
        assert await asyncio.to_thread(line, process) == "busy"
    await incoming.keep()
    with neighbour(root, "upload", upload_id(1), "10", "resume") as process:
        assert await asyncio.to_thread(line, process) == "ready"
        with pytest.raises(UploadBusy):
            await store.resume(upload_id(1), "sha256")
    incoming = await store.resume(upload_id(1), "sha256")
    assert await incoming.digest("sha256") == Digest.of(pattern(10))
    await incoming.discard()


async def test_of_two_processes_that_begin_one_upload_one_gets_it(root: Path) -> None:
    (await start(root)).close()
    with (
        neighbour(root, "upload", upload_id(1), "10") as one,
        neighbour(root, "upload", upload_id(1), "10") as two,
    ):
        answers = await asyncio.gather(asyncio.to_thread(line, one), asyncio.to_thread(line, two))
    assert sorted(answers) == ["busy", "ready"]


async def test_an_upload_goes_on_after_its_process_was_killed(another: Another, root: Path) -> None:
    store = await another()
    with neighbour(root, "upload", upload_id(1), "1000000") as process:
        assert await asyncio.to_thread(line, process) == "ready"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert store.held(upload_id(1)) == 1_000_000
    incoming = await store.resume(upload_id(1), "sha256")
    await incoming.append([b"the rest"])
    landed = await land(incoming)
    assert landed.digest == Digest.of(pattern(1_000_000) + b"the rest")
    assert fetch(store, landed) == pattern(1_000_000) + b"the rest"
    assert await kept(store) == {}


async def test_an_upload_kept_in_one_process_lands_in_another(another: Another, root: Path) -> None:
    store = await another()
    with neighbour(root, "upload", upload_id(1), "300000", "keep") as process:
        assert await asyncio.to_thread(line, process) == "ready"
        await asyncio.to_thread(nudge, process)
        assert await asyncio.to_thread(line, process) == "kept"
        landed = await land(await store.resume(upload_id(1), "sha256"))
    assert fetch(store, landed) == pattern(300_000)


def test_a_data_folder_is_used_by_one_program_at_a_time(root: Path) -> None:
    handle = lock_folder(root)
    with pytest.raises(FolderInUse, match=f"process {os.getpid()};"):
        lock_folder(root)
    os.close(handle)
    os.close(lock_folder(root))
