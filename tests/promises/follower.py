"""`pierhead audit --follow` as a process, and what it printed so far."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.peers.pierhead import PASSWORDS, Pierhead
from tests.peers.processes import PeerFailed, wait_until

Event = dict[str, Any]
AUDITOR = "svc-auditor"
AS_AUDITOR = {"PIERHEAD_USER": AUDITOR, "PIERHEAD_PASSWORD": PASSWORDS[AUDITOR]}


class Follower:
    """Follows the record of `server` as the auditor, who may not pull anything."""

    def __init__(self, server: Pierhead, folder: Path, *options: str) -> None:
        self._server = server
        self._command = [sys.executable, "-m", "pierhead", "audit", "--follow", *options]
        self._out = folder / "followed.jsonl"
        self._err = folder / "followed.err"

    def __enter__(self) -> Self:
        environment = {**self._server.environment(), "PIERHEAD_SERVER": self._server.url(), **AS_AUDITOR}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(self._command, env=environment, stdout=out, stderr=err)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self, seconds: float = 30) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(seconds)

    @property
    def said(self) -> str:
        """Its remarks, on standard error."""
        return self._err.read_text()

    @property
    def events(self) -> list[Event]:
        """Whole lines only."""
        text = self._out.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_for(self, fits: Callable[[Event], bool], what: str, seconds: float = 15) -> Event:
        """The first event that fits. Raises PeerFailed with what was printed."""
        try:
            wait_until(lambda: any(map(fits, self.events)), seconds, what)
        except PeerFailed as missing:
            raise PeerFailed(f"{missing}\n{self._out.read_text()}\n{self._err.read_text()}") from None
        return next(event for event in self.events if fits(event))
