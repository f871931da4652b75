"""What may stand behind the keys of ``vault`` and ``password_vault``; as ``config_values.py``."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pierhead.boot import config_values as values
from pierhead.boot.config_faults import Wrong

_PATH: Final = re.compile(r"[A-Za-z0-9._@+ -]+(?:/[A-Za-z0-9._@+ -]+)+")
_NAMESPACE: Final = re.compile(r"[!-~]{1,1024}")


def vault_url(value: object) -> str:
    """``https://vault.example.com:8200``, perhaps with a path before /v1 -> without a slash at the end."""
    parts = values.origin(value, "https://vault.example.com:8200")
    path = parts.path.rstrip("/")
    if path == "/v1" or path.endswith("/v1"):
        raise Wrong(f"must be written without /v1: {parts.scheme}://{parts.netloc}{path.removesuffix('/v1')}.")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def plain_address(address: str) -> bool:
    """Whether whoever is on the way to this Vault can read what is said: HTTP, and not on this machine."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def mount(value: object) -> str:
    """Where a way to sign in is enabled, without ``auth/``."""
    written = values.text(value).strip("/")
    if written.startswith("auth/"):
        raise Wrong(f"must be written without auth/: {written.removeprefix('auth/')}.")
    if re.fullmatch(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", written) is None:
        raise Wrong("is no path of a mount, such as approle.")
    return written


def secret_path(value: object) -> str:
    """The path of a secret of KV version 2 in the API: ``secret/data/nexus/svc-orchestrator``."""
    written = values.text(value)
    plain = written.removeprefix("/").removeprefix("v1/").strip("/")
    if _PATH.fullmatch(plain) is None or any(part in (".", "..") for part in plain.split("/")):
        raise Wrong("is no path of a secret, such as secret/data/nexus/svc-orchestrator.")
    if "/data/" not in plain:
        first, _, rest = plain.partition("/")
        raise Wrong(f"is no path of KV version 2, which has data behind the mount. Did you mean {first}/data/{rest}?")
    if plain != written:
        raise Wrong(f"must be written without what stands around it: {plain}.")
    return plain


def namespace(value: object) -> str:
    """The name of a namespace of Vault Enterprise or OpenBao."""
    written = values.text(value)
    if _NAMESPACE.fullmatch(written) is None:
        raise Wrong("is no namespace, such as team-a.")
    return written
