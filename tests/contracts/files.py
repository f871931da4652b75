"""Stores on data folders of their own, and other processes beside them, for tests of the files adapter."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pierhead.adapters.files.store import FileBlobs
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.ports.faults import Faults, NoFaults
from tests.contracts.blobs import SMALL

Another = Callable[[], Awaitable[FileBlobs]]


async def start(root: Path, faults: Faults | None = None) -> FileBlobs:
    return await FileBlobs.start(root, SystemClock(), SystemEntropy(), faults or NoFaults(), SMALL)


class Drawn:
    """A data folder that is drawn once for many tests: its 512 folders take longer to make than a test to run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        asyncio.run(start(root)).close()
        self._folders = {folder: os.stat(folder).st_mode for folder, _, _ in os.walk(root)}
        self._files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def sweep(self) -> None:
        """Makes it what it was when it was drawn."""
        seen = set()
        for folder, _, files in os.walk(self.root):
            if folder not in self._folders:
                shutil.rmtree(folder)
                continue
            seen.add(folder)
            if os.stat(folder).st_mode != self._folders[folder]:
                os.chmod(folder, stat.S_IMODE(self._folders[folder]))
            for name in files:
                os.unlink(os.path.join(folder, name))
        assert seen == self._folders.keys(), "a test took folders away"
        for path, content in self._files.items():
            path.write_bytes(content)
            path.chmod(0o600)


@contextmanager
def stores(root: Path) -> Iterator[Another]:
    """Closes what was started, and sees to it that no descriptor was left open."""
    made: list[FileBlobs] = []

    async def another() -> FileBlobs:
        made.append(await start(root))
        return made[-1]

    try:
        yield another
    finally:
        for store in made:
            store.close()
    left = [link for link in open_files() if link.startswith(str(root))]
    assert left == []


def open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


@contextmanager
def neighbour(root: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process on the same folder; see ``tests.contracts.neighbour``."""
    command = [sys.executable, "-m", "tests.contracts.neighbour", str(root), *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def nudge(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
