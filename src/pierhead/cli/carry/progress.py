"""How far something long has come: one line that rewrites itself on a terminal, a line every ten seconds in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO

from pierhead.cli.tables import duration, human_size

_BAR_CHARACTERS: Final = 20
_QUIET_SECONDS: Final = 1.0
_TERMINAL_SECONDS: Final = 0.2
_PIPE_SECONDS: Final = 10.0


class Progress:
    """``total`` in bytes; ``began`` of them were there before. Written to standard error after the first second."""

    def __init__(
        self,
        title: str,
        total: int,
        began: int = 0,
        out: TextIO | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._total = total
        self.done = self._began = began
        self._out = out or sys.stderr
        self._terminal = self._out.isatty()
        self._monotonic = monotonic
        self._started = monotonic()
        self._next = self._started + (_QUIET_SECONDS if self._terminal else _PIPE_SECONDS)
        self._shown = False

    def reach(self, done: int) -> None:
        """So many bytes are done in all; fewer than before where some have to be done again."""
        self.done = done
        now = self._monotonic()
        if now >= self._next:
            self._next = now + (_TERMINAL_SECONDS if self._terminal else _PIPE_SECONDS)
            self._show(now)

    def skip(self, count: int) -> None:
        """So many bytes were there already: they count as done, and not for the rate."""
        self._began += count
        self.reach(self.done + count)

    def _show(self, now: float) -> None:
        self._shown = True
        line = self._line(now - self._started)
        print(f"\r\033[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=self._out)
        self._out.flush()

    def _line(self, seconds: float) -> str:
        part = min(self.done / self._total, 1.0) if self._total else 1.0
        bar = ("#" * int(part * _BAR_CHARACTERS)).ljust(_BAR_CHARACTERS, ".")
        rate = (self.done - self._began) / seconds if seconds > 0 else 0.0
        words = [f"{self._title}  {human_size(self.done)} of {human_size(self._total)}  [{bar}]"]
        if rate > 0:
            words.append(f"{human_size(int(rate))}/s")
            words.append(f"{duration(int(max(self._total - self.done, 0) / rate))} left")
        return "  ".join(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._terminal and self._shown:
            print("\r\033[K", end="", file=self._out, flush=True)
