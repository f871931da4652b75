"""What ``pierhead login`` keeps for later commands: an access token for each server, in a file of its owner's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pierhead.cli.client import Fault, Json

_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """``id`` is the token's own, by which it is revoked."""

    account: str
    token: str = field(repr=False)
    id: str


def file_of(environment: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/pierhead/credentials.json``, or the same below ~/.config."""
    folder = environment.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "pierhead" / "credentials.json"


def kept_for(server: str, environment: Mapping[str, str]) -> Kept | None:
    """None if nobody logged in to the server. Raises Fault for a file that cannot be read."""
    found = _servers(_read(file_of(environment))).get(_key(server))
    if not isinstance(found, dict):
        return None
    account, token, name = (str(found.get(key, "")) for key in ("account", "token", "id"))
    return Kept(account, token, name) if account and token else None


def keep(server: str, kept: Kept, environment: Mapping[str, str]) -> Path:
    """Writes it, readable for its owner only, and says where. Raises Fault."""
    path = file_of(environment)
    document = _read(path)
    servers = {**_servers(document), _key(server): {"account": kept.account, "token": kept.token, "id": kept.id}}
    _write(path, {**document, "servers": servers})
    return path


def forget(server: str, environment: Mapping[str, str]) -> None:
    """Raises Fault."""
    path = file_of(environment)
    document = _read(path)
    servers = {key: value for key, value in _servers(document).items() if key != _key(server)}
    if len(servers) < len(_servers(document)):
        _write(path, {**document, "servers": servers})


def _key(server: str) -> str:
    return server.rstrip("/").lower()


def _servers(document: Json) -> Json:
    found = document.get("servers")
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> Json:
    try:
        with open(path, "rb") as file:
            document: object = json.loads(file.read(_BYTES_MAX))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Fault(f"{path} cannot be read as JSON. Repair it, or remove it and log in again.") from error
    return document if isinstance(document, dict) else {}


def _write(path: Path, document: Json) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "w") as file:
            json.dump(document, file, indent=1)
        os.replace(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise Fault(f"{path} cannot be written ({(error.strerror or 'unknown error').lower()}).") from error
