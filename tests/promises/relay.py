"""A wire between a client and a server that breaks when it is told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from tests.peers.processes import LOOPBACK

_PIECE = 65_536


def _reset_on_close(*ends: socket.socket) -> None:
    """A sender whose window is full would not notice that the other end was merely shut down: nothing it could send is
    answered, so it waits for its whole timeout."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Relay:
    """Passes connections on to a port of this machine. ``hold_up`` and ``hold_down`` are how many bytes may still go to
    the server and to the client; then ``held`` is set, and nothing goes any further. With ``cut`` the connection ends
    there instead, and the next one passes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self.hold_up: int | None = None
        self.hold_down: int | None = None
        self.cut = False
        self.held = threading.Event()
        self.cuts = 0
        self.up = self.down = 0
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def free(self) -> None:
        """From now on everything passes, and what was counted is forgotten."""
        with self._lock:
            self.hold_up = self.hold_down = None
            self.up = self.down = 0
        self.held.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((LOOPBACK, self._port))
                self._open += [client, server]
                for source, target, up in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, target, up), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        try:
            while piece := source.recv(_PIECE):
                allowed = self._allowed(len(piece), up)
                target.sendall(piece[:allowed])
                if allowed < len(piece):
                    self.held.set()
                    if not self.cut:
                        while source.recv(_PIECE):
                            pass  # until it goes away
                        break
                    self.cuts += 1
                    self.free()
                    _reset_on_close(source, target)
                    break
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if self.cuts:
                end.close()

    def _allowed(self, count: int, up: bool) -> int:
        with self._lock:
            left = self.hold_up if up else self.hold_down
            allowed = count if left is None else min(count, left)
            if up:
                self.up += allowed
                self.hold_up = None if left is None else left - allowed
            else:
                self.down += allowed
                self.hold_down = None if left is None else left - allowed
            return allowed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for one in (self._listener, *self._open):
            one.close()
