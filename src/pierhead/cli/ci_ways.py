"""How a job gets its login: from Vault, or with its id_token itself. What the credential helper has to know of that is
kept beside Docker's file, without any secret."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pierhead.cli.client import Fault
from pierhead.cli.id_token import IdToken, id_token
from pierhead.cli.login_files import docker_folder, rewrite
from pierhead.cli.vault import Login, Place, Vault

DEFAULT_ROLE: Final = "nexus-ci"
DEFAULT_ACCOUNT: Final = "svc-orchestrator"
OIDC_USER: Final = "oidc"
TOKEN_VARIABLE: Final = "PIERHEAD_ID_TOKEN"
_SETTINGS: Final = "pierhead-ci.json"
_REGISTRY: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_.@+-]+")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Way:
    """``registries`` are hosts with their ports. With ``oidc``, the token in ``token_variable`` is the password and
    ``place`` means nothing; else VAULT_ID_TOKEN opens Vault."""

    registries: tuple[str, ...]
    place: Place
    oidc: bool = False
    token_variable: str = TOKEN_VARIABLE

    @property
    def account(self) -> str:
        """As far as it is known without asking."""
        return OIDC_USER if self.oidc else self.place.path.rpartition("/")[2]

    def token(self, environment: Mapping[str, str]) -> IdToken:
        """The token of this way. Raises Fault."""
        return id_token(self.token_variable if self.oidc else "VAULT_ID_TOKEN", dict(environment))

    def login(self, environment: Mapping[str, str]) -> Login:
        """The login, asked for anew. Raises Fault."""
        if self.oidc:
            return Login(OIDC_USER, self.token(environment).text)
        return Vault(environment, time.monotonic).login(self.token(environment), self.place)

    def remarks(self, environment: Mapping[str, str]) -> list[str]:
        """What is to be said of the way that it goes. Raises Fault."""
        return [] if self.oidc else Vault(environment, time.monotonic).remarks


def registries_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """NEXUS_REGISTRY and NEXUS_REGISTRY_PULL, each once. Raises Fault."""
    found = []
    for variable, what in (("NEXUS_REGISTRY", "pushed to"), ("NEXUS_REGISTRY_PULL", "pulled from")):
        registry = environment.get(variable, "").strip()
        if not registry:
            raise Fault(f"{variable} is not set: it is the host and port that is {what}, as in nexus.example.org:8443.")
        if not _REGISTRY.fullmatch(registry):
            raise Fault(f"{variable} is no host with its port: it looks like nexus.example.org:8443, without https://.")
        found.append(registry)
    return tuple(dict.fromkeys(found))


def path_of(text: str, what: str) -> str:
    """A path of Vault's API without its ends; ``what`` names it in the message. Raises Fault."""
    parts = text.strip("/").removeprefix("v1/").split("/")
    if not all(_SEGMENT.fullmatch(part) and part.strip(".") for part in parts):
        raise Fault(f"{what} is no path of Vault's: it looks like secret/data/nexus/NAME.")
    return "/".join(parts)


def place_of(role: str, account: str, path: str | None, auth_path: str) -> Place:
    """From options. Raises Fault."""
    if not _SEGMENT.fullmatch(role):
        raise Fault("The role is no name of a role in Vault: it looks like nexus-ci.")
    if path is None and not (_SEGMENT.fullmatch(account) and account.strip(".")):
        raise Fault("The account is no name of a service account: it looks like svc-orchestrator.")
    where = path_of(path, "--path") if path is not None else f"secret/data/nexus/{account}"
    return Place(role, where, path_of(auth_path, "--auth-path").removeprefix("auth/"))


def token_variable_of(name: str) -> str:
    """A name of a variable. Raises Fault: somebody may have given the token itself, which is not shown."""
    if not _VARIABLE.fullmatch(name) or name.startswith("eyJ"):
        raise Fault("--token-variable takes the name of a variable, as in PIERHEAD_ID_TOKEN, and not a token.")
    return name


def keep(way: Way, environment: Mapping[str, str]) -> Path:
    """Writes what the helper has to know; the path of the file. Raises Fault."""
    path = docker_folder(environment) / _SETTINGS

    def change(document: dict[str, object]) -> list[str]:
        document.clear()
        document.update(asdict(way))
        return []

    rewrite(path, change)
    return path


def kept(environment: Mapping[str, str]) -> Way:
    """What was written last; without that, what the environment alone says. Raises Fault."""
    path = docker_folder(environment) / _SETTINGS
    try:
        found = json.loads(path.read_bytes())
        place = found["place"]
        return Way(
            tuple(str(one) for one in found["registries"]),
            Place(str(place["role"]), str(place["path"]), str(place["auth_path"])),
            bool(found["oidc"]),
            str(found["token_variable"]),
        )
    except FileNotFoundError:
        account = environment.get("NEXUS_ACCOUNT") or DEFAULT_ACCOUNT
        return Way(registries_of(environment), place_of(DEFAULT_ROLE, account, None, "jwt"))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Fault(f"{path} cannot be understood: `pierhead ci login --helper` writes it anew.") from None
    except OSError as error:
        raise Fault(f"{path} cannot be read: {error.strerror}.") from None
