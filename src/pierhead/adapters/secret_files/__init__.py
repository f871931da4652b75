"""A password in a file: what systemd, Kubernetes or an agent of Vault puts there, and replaces when it changes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pierhead.domain import limits
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText

_CANNOT = "its file cannot be read"


class SecretFile:
    """Implements ``ports.secrets.SecretSource``. A change is seen at the file's stamp; ``pause`` seconds are for
    file systems that keep no good stamps."""

    def __init__(self, path: Path, pause: float = 60.0) -> None:
        self._path = path
        self.pause = pause

    @property
    def place(self) -> str:
        """The path."""
        return str(self._path)

    def stamp(self) -> object:
        """Of what the name leads to now: Kubernetes replaces a link."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            return error.errno
        return found.st_ino, found.st_mtime_ns, found.st_size

    async def read(self) -> SecretText:
        """The only line; a line break behind it is no part of the password."""
        return await asyncio.to_thread(self.read_now)

    def read_now(self) -> SecretText:
        """The same, and blocks. An empty file is one that is being written: it takes nothing back."""
        path = self._path
        try:
            with open(path, "rb") as file:
                content = file.read(limits.SECRET_BYTES_MAX + 1)
            text = content.decode("utf-8")
        except FileNotFoundError:
            raise SecretGone(f"{path} cannot be read (no such file or directory)") from None
        except OSError as error:
            raise SecretAway(
                f"{path} cannot be read ({(error.strerror or 'unknown error').lower()})", _CANNOT
            ) from None
        except ValueError:
            raise SecretAway(f"{path} holds no UTF-8 text", _CANNOT) from None
        lines = text.splitlines()
        if len(content) > limits.SECRET_BYTES_MAX or len(lines) > 1:
            raise SecretAway(f"{path} holds more than one line of {limits.SECRET_BYTES_MAX} bytes", _CANNOT)
        if not lines or not lines[0]:
            raise SecretAway(f"{path} is empty", _CANNOT)
        return SecretText(lines[0])
