"""Starting a real server, waiting until it answers, and stopping exactly what was started."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
LOG_TAIL_LINES = 40
# Below the range from which Linux takes the near ends of outgoing connections, so that none of them can be in the way.
PORTS = range(20_000, 32_000)


class PeerFailed(AssertionError):
    """A server did not start, or a client ended with an error; the text holds its output."""


class PeerMissing(Exception):
    """A program that is not installed here, or that may not be used here; the text is the reason to skip."""


def program(name: str) -> str:
    """The path of an installed program. Raises PeerMissing."""
    # The system's own folders come first: other builds of the same client may stand elsewhere on somebody's PATH.
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin") or shutil.which(name)
    if found is None:
        raise PeerMissing(f"{name} is not installed (scripts/peers installs it)")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise PeerFailed("no free port found on 127.0.0.1")


def answers(port: int) -> bool:
    """Whether somebody accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until `condition` holds. Raises PeerFailed with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            raise PeerFailed(f"waited {seconds:g} s for this in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def plain_environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which nothing of the person's own (proxies, credentials, settings) reaches a peer."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SystemRoot") if name in os.environ}
    return {**keep, "HOME": str(home), "TMPDIR": str(home), **(more or {})}


class Server:
    """A process with a log file. A subclass gives the command, and says when it is ready."""

    name = "server"
    ready_seconds = 20.0
    stop_seconds = 15.0

    def __init__(self, folder: Path | None = None) -> None:
        self._own_folder = folder is None
        # Short, since the path of a Unix socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-")) if folder is None else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise AssertionError("a subclass says what is started")

    def environment(self) -> dict[str, str]:
        return plain_environment(self.folder)

    def ready(self) -> bool:
        raise AssertionError("a subclass says when it is ready")

    @property
    def log(self) -> str:
        """Everything that it has printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it is ready. Raises PeerFailed with the end of its log."""
        assert not self.running, f"{self.name} runs already"
        command = self.command()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )
        try:
            wait_until(self._ready_or_dead, self.ready_seconds, f"{self.name} is ready")
        except PeerFailed as slow:
            self.kill()
            raise PeerFailed(self._story(str(slow))) from None
        return self

    def _ready_or_dead(self) -> bool:
        if not self.running:
            assert self.process is not None
            raise PeerFailed(f"{self.name} ended with {self.process.returncode} before it was ready")
        return self.ready()

    def _story(self, why: str) -> str:
        tail = "\n".join(self.log.splitlines()[-LOG_TAIL_LINES:])
        return f"{why}\ncommand: {' '.join(self.command())}\nits log ends with:\n{tail}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, and to none of its children."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code. Raises PeerFailed, and kills it, if it takes too long."""
        if self.process is None:
            return 0
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise PeerFailed(
                    self._story(f"{self.name} did not end {self.stop_seconds:g} s after SIGTERM")
                ) from None
        return self.process.returncode

    def kill(self) -> None:
        """End it at once (SIGKILL), with every process of the session that it leads."""
        if self.process is not None and self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def remove(self) -> None:
        """Stop it and remove its folder, if that was its own."""
        try:
            self.stop()
        finally:
            if self._own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self if self.running else self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: bytes | None = None,
    check: bool = True,
    seconds: float = 90,
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end. With `check`, raises PeerFailed with its output unless it ends with 0."""
    try:
        done = subprocess.run(command, input=stdin or b"", capture_output=True, env=dict(environment), timeout=seconds)
    except subprocess.TimeoutExpired as late:
        output = b"\n".join(part for part in (late.stdout, late.stderr) if part).decode(errors="replace")
        raise PeerFailed(f"{' '.join(command)}\ndid not end within {seconds:g} s; it printed:\n{output}") from None
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise PeerFailed(f"{' '.join(command)}\nended with {done.returncode}\n{out}{err}")
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)
