"""The parent of several workers: it binds the sockets, starts workers, replaces one that ends, passes signals on.

It serves nothing itself. A worker holds the reading end of a pipe whose other end only the parent has, so that none
outlives it, however it ends. When the file is read again, a new generation of workers takes over before the old one
drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct, field

from pierhead.boot.config_faults import ConfigFaults
from pierhead.boot.ports import cannot_listen
from pierhead.boot.serve import CannotListen, Inherited, not_taken_over, same_folder
from pierhead.boot.settings import Settings

WORKER_VARIABLE: Final = "PIERHEAD_WORKER"
_READY_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0

log = logging.getLogger("pierhead")


class WorkersFailed(Exception):
    """Workers ended before they served; the log has what each of them said."""

    def __init__(self) -> None:
        super().__init__("The workers ended before they served: see the lines above.")


class Generation(Struct):
    """Workers that serve the same settings on the same sockets. ``file`` holds the content of the config file, since
    the one on disk may have changed when a worker has to be replaced."""

    settings: Settings
    file: BinaryIO
    sockets: dict[str, socket.socket]
    workers: set[asyncio.subprocess.Process] = field(default_factory=set)
    retired: bool = False


class Supervisor:
    """Keeps ``settings.workers`` workers running. ``read`` gives the settings and the content of the file that they
    were read from; ``command`` starts a worker; ``lock`` holds the data folder, and each of them holds it too."""

    def __init__(self, read: Callable[[], tuple[Settings, bytes]], command: list[str], lock: int) -> None:
        self._read = read
        self._command = command
        self._lock = lock
        self._stopped = asyncio.Event()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipe_read, self._pipe_write = os.pipe()

    async def run(self, ready: Callable[[Settings], None]) -> int:
        """Runs until SIGTERM or SIGINT; returns the exit code.

        Raises ConfigFaults, CannotListen, WorkersFailed if they end before they serve.
        """
        settings, content = await asyncio.to_thread(self._read)
        self._generation = Generation(settings, _written(content), bind(settings, {}))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._own(self._reread()))
        if await self._fill(self._generation):
            ready(settings)
        elif not self._stopped.is_set():
            await self._retire(self._generation)
            raise WorkersFailed
        await self._stopped.wait()
        _close(self._generation.sockets.values())
        await self._retire(self._generation)
        for task in list(self._tasks):
            task.cancel()
        return 0

    def _own(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, generation: Generation) -> bool:
        """Starts all workers; False if one of them does not serve. Then they are the caller's to end."""
        started = await asyncio.gather(*(self._start(generation) for _ in range(generation.settings.workers)))
        if not all(serves for _, serves in started):
            return False
        for worker, _ in started:
            self._own(self._mind(generation, worker))
        return True

    async def _start(self, generation: Generation) -> tuple[asyncio.subprocess.Process, bool]:
        """Starts a worker and waits until it takes requests (True), or has ended or taken too long."""
        told, tell = os.pipe()
        handles = {address: sock.fileno() for address, sock in generation.sockets.items()}
        told_of = {"sockets": handles, "parent": self._pipe_read, "ready": tell, "file": generation.file.fileno()}
        word = json.dumps({**told_of, "data": str(generation.settings.data)})
        try:
            worker = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, WORKER_VARIABLE: word},
                pass_fds=(*handles.values(), self._pipe_read, tell, self._lock, generation.file.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
            )
        finally:
            os.close(tell)
        generation.workers.add(worker)
        serves = False
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await _readable(told)
            serves = os.read(told, 1) != b""
        except TimeoutError:
            log.error("Worker %d did not become ready in %d s.", worker.pid, _READY_SECONDS)
        finally:
            os.close(told)
        return worker, serves

    async def _mind(self, generation: Generation, worker: asyncio.subprocess.Process) -> None:
        """Waits for a worker's end; one that ended without being asked to is replaced."""
        code = await worker.wait()
        generation.workers.discard(worker)
        if not self._serves(generation):
            return
        log.error("Worker %d ended (%s); another is started.", worker.pid, code)
        await asyncio.sleep(_PAUSE_SECONDS if code else 0)
        if self._serves(generation):
            another, _ = await self._start(generation)
            self._own(self._mind(generation, another))

    def _serves(self, generation: Generation) -> bool:
        return not generation.retired and not self._stopped.is_set()

    async def _reread(self) -> None:
        """New workers take over before the old ones drain; if they do not serve, the old ones go on."""
        async with self._changing:
            old = self._generation
            try:
                settings, content = await asyncio.to_thread(self._read)
                settings = same_folder(settings, old.settings)
                new = Generation(settings, _written(content), bind(settings, old.sockets))
            except ConfigFaults as faults:
                not_taken_over(faults.lines)
                return
            except CannotListen as refused:
                not_taken_over([str(sentence) for sentence in refused.args])
                return
            if not await self._fill(new):
                await self._retire(new)
                _close(sock for address, sock in new.sockets.items() if address not in old.sockets)
                not_taken_over(())
                return
            self._generation = new
            _close(sock for address, sock in old.sockets.items() if address not in new.sockets)
            await self._retire(old)
            log.info("The configuration was read again.")

    async def _retire(self, generation: Generation) -> None:
        generation.retired = True
        workers = list(generation.workers)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        await asyncio.gather(*(worker.wait() for worker in workers))
        generation.file.close()


def bind(settings: Settings, standing: dict[str, socket.socket]) -> dict[str, socket.socket]:
    """A bound socket for each address of ``settings``; those of ``standing`` are taken over.

    Raises CannotListen, with a sentence for each address, after closing what it had bound.
    """
    addresses = [address for address, _ in settings.listeners()]
    if settings.redirect_from is not None:
        addresses.append(settings.redirect_from)
    sockets: dict[str, socket.socket] = {}
    faults: list[str] = []
    for address in addresses:
        key = str(address)
        if key in standing:
            sockets[key] = standing[key]
            continue
        sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address.host, address.port))
            sock.listen(2048)
            sock.setblocking(False)
            sockets[key] = sock
        except OSError as error:
            sock.close()
            faults.append(cannot_listen(address, error))
    if faults:
        for key, sock in sockets.items():
            if key not in standing:
                sock.close()
        raise CannotListen(*faults)
    return sockets


def _written(content: bytes) -> BinaryIO:
    """A file without a name that holds ``content``."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (it lives as long as its generation)
    file.write(content)
    return file


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def inherited() -> Inherited | None:
    """What the parent handed to this process, if it is a worker."""
    word = os.environ.pop(WORKER_VARIABLE, None)
    if word is None:
        return None
    told = json.loads(word)
    return Inherited(
        {address: socket.socket(fileno=handle) for address, handle in told["sockets"].items()},
        told["parent"],
        told["ready"],
        os.pread(told["file"], os.fstat(told["file"]).st_size, 0),
        Path(told["data"]),
    )


def this_command() -> list[str]:
    """How this process was started, for starting workers in the same way."""
    return [sys.executable, "-m", "pierhead", *sys.argv[1:]]


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(handle, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(handle)
