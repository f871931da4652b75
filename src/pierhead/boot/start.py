"""From the command line to a running server: one process, or a parent and its workers; and why it did not start."""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import uvloop
from msgspec import Struct
from msgspec.structs import replace

from pierhead.adapters.files.layout import FolderInUse, lock_folder
from pierhead.adapters.sqlite.connect import DatabaseRefused
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.boot import logs, memory
from pierhead.boot.config import parse, read
from pierhead.boot.config_faults import ConfigFaults
from pierhead.boot.default import default_settings
from pierhead.boot.ports import ORPHAN_DRAIN_SECONDS
from pierhead.boot.serve import CannotListen, Inherited, Process
from pierhead.boot.settings import Settings
from pierhead.boot.supervise import Supervisor, WorkersFailed, inherited, this_command
from pierhead.boot.welcome import ready_line, welcome
from pierhead.boot.wire import House, KindChanged, open_house
from pierhead.domain.refusals import Unavailable
from pierhead.ports.blobs import StoreFailed
from pierhead.ports.faults import NoFaults

_SWITCH_SECONDS: Final = 0.0005
_FAULTY_FILE: Final = 2
_ANOTHER_FOLDER: Final = "Give a folder for data that this account may write to, with `data` in the file or --data."
# Longer than workers without a parent drain.
_ORPHANS_SECONDS: Final = ORPHAN_DRAIN_SECONDS + 10.0
_LOOK_SECONDS: Final = 0.05
_FILES_BESIDES: Final = 100
# A long upload holds most: its socket, a duplicate of that, and the file that it is written to.
_FILES_EACH: Final = 3
_FILES_FEW: Final = 4_096
_CONNECTIONS_MIN: Final = 10

log = logging.getLogger("pierhead")


class Command(Struct, frozen=True):
    """What the command line said; None for what it left out."""

    config: Path | None
    data: Path | None
    listen: str | None
    workers: int | None

    def settings(self) -> Settings:
        """Reads the file, now. Raises ConfigFaults."""
        return self.read()[0]

    def read(self) -> tuple[Settings, bytes]:
        """The same, and the content that it was read from. Raises ConfigFaults."""
        content = b"" if self.config is None else read(self.config)
        return self.understand(content), content

    def understand(self, content: bytes) -> Settings:
        """What the file of this content says. Raises ConfigFaults."""
        if self.config is None:
            settings = default_settings(data=self.data, listen=self.listen)
        else:
            settings = parse(content, self.config.name, data=self.data, listen=self.listen)
        if self.workers is not None:
            settings = replace(settings, workers=self.workers)
        room = connections_that_fit(settings)
        return replace(settings, limits=replace(settings.limits, connections=room))

    def understand_handed(self, handed: Inherited) -> Settings:
        """What the parent's file says, with the parent's folder. Raises ConfigFaults."""
        return replace(self.understand(handed.content), data=handed.data)


def run(command: Command, say: Callable[[str], None]) -> tuple[int, Sequence[str]]:
    """Serves until it is told to stop; ``say`` gets the lines for people when it is ready.

    Returns the exit code and, if it did not start, the reasons, a line each.
    """
    # Between the writer's thread and the loop the interpreter changes over sooner: more writes, no later reads.
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.give_back()
    memory.leave_no_image()
    logs.use("text")
    try:
        handed = inherited()
        if handed is not None:
            process = Process(lambda: command.understand_handed(handed), handed)
            return uvloop.run(process.run(lambda _: _tell(handed))), ()
        _open_many_files()
        settings = command.settings()
        lock = _lock(settings.data)
        try:
            if settings.workers > 1:
                return uvloop.run(_supervise(command, settings, lock, say)), ()
            read = [settings]  # now; later the file is read again
            process = Process(lambda: read.pop() if read else command.settings(), Inherited())
            return uvloop.run(process.run(lambda house: _greet(house, say))), ()
        finally:
            os.close(lock)
    except ConfigFaults as faults:
        return _FAULTY_FILE, faults.lines
    except CannotListen as refused:
        return 1, [str(sentence) for sentence in refused.args]
    except (DatabaseRefused, FolderInUse, KindChanged, StoreFailed, WorkersFailed) as refused:
        return 1, [str(refused)]
    except Unavailable as refused:  # a page of the database is damaged, or the disk takes no more
        return 1, [f"{refused.message} It did not start: look at the disk, or restore the last backup."]
    except OSError as error:
        why = f"{error.filename or 'The data folder'} cannot be used: {error.strerror or error}."
        return 1, [f"{why} {_ANOTHER_FOLDER}"]


def _lock(data: Path) -> int:
    """``lock_folder``; workers whose parent was killed are waited for, as they end by themselves.

    Raises FolderInUse, OSError.
    """
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while True:
        try:
            return lock_folder(data)
        except FolderInUse as used:
            if used.holder is None or _runs(used.holder) or time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_SECONDS)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def connections_that_fit(settings: Settings) -> int:
    """``limits.connections``, or as many as the limit of open files has room for, three files to each.

    With more, a connection could be taken and its blob not be opened; like this it is told to come again.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return settings.limits.connections
    return max(_CONNECTIONS_MIN, min(settings.limits.connections, (files - _FILES_BESIDES) // _FILES_EACH))


def _open_many_files() -> None:
    """Raises this process's limit of open files as far as it may, and says so if that is not far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            hard = soft
    if hard != resource.RLIM_INFINITY and hard < _FILES_FEW:
        log.warning(
            "Only %d files may be open at once, which bounds the connections. Raise it (LimitNOFILE= of systemd, "
            "--ulimit nofile= of docker).",
            hard,
        )


async def _supervise(command: Command, settings: Settings, lock: int, say: Callable[[str], None]) -> int:
    """The data folder is made and brought up to date before the first worker sees it."""
    logs.use(settings.log_format)
    house = await open_house(settings, os.environ, SystemClock(), SystemEntropy(), NoFaults())
    await house.close()
    supervisor = Supervisor(command.read, this_command(), lock)
    return await supervisor.run(lambda served: _announce(served, say))


def _greet(house: House, say: Callable[[str], None]) -> None:
    memory.settle()
    _announce(house.settings, say)


def _announce(settings: Settings, say: Callable[[str], None]) -> None:
    """Lines for people, unless programs read what is written."""
    if settings.log_format == "json":
        log.info(ready_line(settings))
    else:
        say(welcome(settings))


def _tell(handed: Inherited) -> None:
    memory.settle()
    if handed.ready is not None:
        os.write(handed.ready, b"1")
        os.close(handed.ready)
