"""Uploads that were begun and not ended, in a file of their owner's: another run of the command goes on with them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_BYTES_MAX: Final = 1 << 20
_KEPT_MAX: Final = 500


class Sessions:
    """Where each blob's upload goes on, by server, name and digest. A file that cannot be used is done without."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        folder = environment.get("XDG_STATE_HOME")
        self._path = (Path(folder) if folder else Path.home() / ".local" / "state") / "pierhead" / "uploads.json"

    def find(self, server: str, name: str, digest: str) -> str | None:
        """None if nothing is known of one."""
        return self._read().get(_key(server, name, digest))

    def keep(self, server: str, name: str, digest: str, place: str) -> None:
        """The oldest are forgotten where there are too many; servers forget such uploads as well."""
        self._change(_key(server, name, digest), place)

    def forget(self, server: str, name: str, digest: str) -> None:
        """It is ended."""
        self._change(_key(server, name, digest), None)

    def _change(self, key: str, place: str | None) -> None:
        with contextlib.suppress(OSError), self._alone():
            known = self._read()
            if known.pop(key, None) is None and place is None:
                return
            if place is not None:
                known[key] = place
            kept = dict(list(known.items())[-_KEPT_MAX:])
            scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(handle, "w") as file:
                json.dump(kept, file, indent=1)
            os.replace(scratch, self._path)

    def _read(self) -> dict[str, str]:
        try:
            with open(self._path, "rb") as file:
                found: object = json.loads(file.read(_BYTES_MAX))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(key): value for key, value in found.items() if isinstance(value, str) and value.startswith("/v2/")}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _key(server: str, name: str, digest: str) -> str:
    return f"{server.lower()} {name} {digest}"
