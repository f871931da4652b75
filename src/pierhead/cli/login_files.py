"""The files in which Docker and Podman keep logins: which of them count, and how an entry gets into one."""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pierhead.cli.client import Fault, Json
from pierhead.cli.vault import Login

HELPER: Final = "pierhead"
"""`docker-credential-pierhead`, as Docker shortens it."""
_FILE_BYTES_MAX: Final = 4 << 20


def docker_folder(environment: Mapping[str, str]) -> Path:
    """$DOCKER_CONFIG, or ~/.docker."""
    return Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")


def podman_file(environment: Mapping[str, str], uid: int) -> Path | None:
    """The file that Podman, skopeo and buildah read before Docker's, if it has to be written as well.

    $REGISTRY_AUTH_FILE is always meant. Podman's own place counts only if there is a file: an older login in there
    would win, but where there is none, these programs read Docker's (containers-auth.json(5)).
    """
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return Path(named)
    runtime = environment.get("XDG_RUNTIME_DIR")
    usual = (Path(runtime) / "containers" if runtime else Path(f"/run/containers/{uid}")) / "auth.json"
    try:
        return usual if usual.is_file() else None
    except OSError:
        return None


def add_logins(document: Json, registries: Sequence[str], login: Login) -> list[str]:
    """Puts ``login`` under `auths` for each of these; what else stands there stays. Returns what had to be turned off.

    A helper of such a registry would be asked instead of `auths`, so its entry goes. `credsStore` would be as well; it
    stays for other registries, and an empty name under `credHelpers` tells Docker that these have no helper.
    Raises Fault for a document of another shape.
    """
    auths, helpers, store = _part(document, "auths"), _part(document, "credHelpers"), document.get("credsStore")
    encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    gone = []
    for registry in registries:
        auths[registry] = {"auth": encoded}
        helper = helpers.pop(registry, None)
        if helper:
            gone.append(f"{helper} of {registry}")
        if store:
            helpers[registry] = ""
    _put(document, auths=auths, credHelpers=helpers)
    remarks = [f"taken out of credHelpers, which would be asked instead: {', '.join(gone)}"] if gone else []
    if store:
        remarks.append(
            f"credsStore {store} is turned off for {' and '.join(registries)}, and stays for others; Podman and skopeo "
            "cannot read such a file: set REGISTRY_AUTH_FILE for them, or use --helper"
        )
    return remarks


def add_helper(document: Json, registries: Sequence[str]) -> list[str]:
    """Names the helper for each of these, and takes out what `auths` holds for them: no password is to be in a file.

    Raises Fault for a document of another shape.
    """
    auths, helpers = _part(document, "auths"), _part(document, "credHelpers")
    replaced = []
    for registry in registries:
        if auths.pop(registry, None) is not None:
            replaced.append(f"the login of {registry}")
        other = helpers.get(registry)
        if other and other != HELPER:
            replaced.append(f"the helper {other} of {registry}")
        helpers[registry] = HELPER
    _put(document, auths=auths, credHelpers=helpers)
    return [f"replaced: {', '.join(replaced)}"] if replaced else []


def _part(document: Json, name: str) -> Json:
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Fault(f"`{name}` is no object")
    return found


def _put(document: Json, **parts: Json) -> None:
    for name, part in parts.items():
        if part:
            document[name] = part
        else:
            document.pop(name, None)


def rewrite(path: Path, change: Callable[[Json], list[str]]) -> list[str]:
    """Changes one such file, or makes it: readable for its owner only, never half written, and whoever else does this
    at the same time waits. Returns what ``change`` remarks.

    Raises Fault, and then the file is as it was.
    """
    try:
        target = Path(os.path.realpath(path))  # a link stays one
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target.parent):
            document = _read(target)
            remarks = change(document)
            _replace(target, json.dumps(document, indent="\t", ensure_ascii=False) + "\n")
    except Fault as fault:
        raise Fault(
            f"{path} cannot be changed: {fault.line}. Mend it, or name another folder in DOCKER_CONFIG."
        ) from None
    except OSError as error:
        hint = " (it is a mount of its own: mount its folder)" if error.errno == errno.EBUSY else ""
        raise Fault(
            f"{path} cannot be written: {error.strerror}{hint}. Name another folder in DOCKER_CONFIG."
        ) from None
    return remarks


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Json:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return {}
    if not data.strip():
        return {}
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        raise Fault("it holds no JSON") from None
    if not isinstance(found, dict):
        raise Fault("it holds no JSON object")
    return found


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
