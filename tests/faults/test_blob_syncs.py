"""Which system calls a landing makes, and what follows when the kernel itself says that a sync failed: under strace."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pierhead.domain.digest import Digest
from tests.contracts.blobs import pattern, upload_id
from tests.contracts.files import files_below, start

CHECKOUT = Path(__file__).parents[2]

_PUSH = """
import asyncio, sys
from pathlib import Path
from pierhead.ports.blobs import StoreFailed
from tests.contracts.blobs import push
from tests.contracts.files import start
from tests.faults.test_blob_syncs import BODY

async def main():
    store = await start(Path(sys.argv[1]))
    print("started", flush=True)
    try:
        landed = await push(store, BODY)
        print("landed", landed.generation)
    except StoreFailed as failure:
        print("failed", failure)
    print("health", store.health)
    store.close()

asyncio.run(main())
"""
BODY = pattern(100_000)
KEY = Digest.of(BODY)


def folder_of_key(root: Path) -> str:
    return f"{root}/blobs/sha256/{KEY.hex[:2]}"


def traced(root: Path, *options: str) -> tuple[str, list[str]]:
    """What a push printed, and the system calls that strace was told to look at."""
    log = root.parent / "calls"
    done = subprocess.run(
        ["strace", "-f", "-y", "-o", str(log), *options, sys.executable, "-c", _PUSH, str(root)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        timeout=100,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    calls = [re.sub(r"^\d+ +", "", one) for one in log.read_text().splitlines()]
    return done.stdout, [one for one in calls if not one.startswith(("+++", "---"))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return tmp_path / "data"


def test_a_landing_syncs_the_bytes_then_gives_the_name_then_syncs_its_folder(root: Path) -> None:
    said, calls = traced(root, "-e", "trace=fdatasync,fsync,link,linkat,write")
    started = next(number for number, one in enumerate(calls) if '"started' in one)
    calls = [one for one in calls[started:] if not one.startswith("write")]
    generation = said.split()[2]
    assert len(calls) == 3, calls
    data, name, folder = calls
    assert re.fullmatch(rf"fdatasync\(\d+<{root}/uploads/{upload_id(1)}>\) += 0", data)
    assert f'{root}/uploads/{upload_id(1)}"' in name
    assert f"{folder_of_key(root)}/{KEY.hex}.{generation}" in name
    assert re.fullmatch(rf"fsync\(\d+<{folder_of_key(root)}>\) += 0", folder)


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_sync_that_the_kernel_fails_is_tried_once_and_stops_all_writing(root: Path, call: str) -> None:
    asyncio.run(start(root)).close()
    before = files_below(root)
    where = f"{root}/uploads/{upload_id(1)}" if call == "fdatasync" else folder_of_key(root)
    said, calls = traced(root, "-P", where, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO")
    assert "failed the blob cannot be made durable: Input/output error" in said
    assert "health the blob cannot be made durable: Input/output error" in said
    assert len(calls) == 1, calls
    assert "INJECTED" in calls[0]
    assert files_below(root) == before
