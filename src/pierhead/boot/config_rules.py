"""What several keys of the configuration must hold together: ports, members, stages, sources of passwords, files."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Final
from urllib.parse import urlsplit

from pierhead.boot.config_faults import Faults, Path, did_you_mean
from pierhead.boot.settings import (
    AccountSettings,
    Address,
    GroupSettings,
    HostedSettings,
    ProxySettings,
    RepositorySettings,
    Stage,
    TlsSettings,
)
from pierhead.domain.access import BUILT_IN_ROLES, Rules
from pierhead.domain.names import RepositoryName

CIRCLES_SHOWN_MAX: Final = 10
PASSWORD_SOURCES: Final = ("password_env", "password_file", "password_hash", "password_vault")

Repositories = Mapping[RepositoryName, RepositorySettings]


def check_listeners(listeners: Iterable[tuple[Path, Address]], faults: Faults) -> None:
    """No two ports may be opened at one address; ``listeners`` are all of them with their keys, in order."""
    taken: dict[int, list[tuple[Path, Address]]] = {}
    for path, address in listeners:
        same_port = taken.setdefault(address.port, [])
        for other_path, other in same_port:
            if address.collides(other):
                owner = _owner(other_path)
                covers = (
                    "" if address.host == other.host else f", which takes in {address}" if other.is_wildcard else ""
                )
                faults.add(path, f"is taken: {owner} listens on {other}{covers}.", str(address))
                break
        same_port.append((path, address))


def _owner(path: Path) -> str:
    return f"`{path[0]}`" if len(path) == 1 else f"`{path[1]}`"


def check_external(repositories: Repositories, faults: Faults) -> None:
    """``external`` belongs to a port, and two ports cannot be reached at one address."""
    owners: dict[Address, RepositoryName] = {}
    for name, repository in repositories.items():
        if repository.external is None:
            continue
        path: Path = ("repositories", name, "external")
        if repository.listen is None and not faults.written((*path[:-1], "listen")):
            faults.add(
                path, "needs `listen`: without a port of its own there is nothing to reach.", str(repository.external)
            )
        elif (other := owners.setdefault(repository.external, name)) != name:
            faults.add(path, f"is already how `{other}` is reached.", str(repository.external))


def check_groups(repositories: Repositories, named: Mapping[str, object], faults: Faults) -> None:
    """Members and ``writable`` exist and suit, and no group holds itself. ``named`` are all names of the file."""
    groups = {name: group for name, group in repositories.items() if isinstance(group, GroupSettings)}
    for name, group in groups.items():
        seen: set[RepositoryName] = set()
        if not group.members:
            faults.add(("repositories", name, "members"), "is empty: name at least one repository.")
        for index, member in enumerate(group.members):
            path: Path = ("repositories", name, "members", index)
            if member not in named:
                faults.add(path, _no_repository(member, named), member)
            elif member in seen:
                faults.add(path, "stands in the list twice.", member)
            seen.add(member)
    _check_circles(groups, faults)
    for group in groups.values():
        if group.writable is not None:
            _check_writable(group, group.writable, repositories, named, faults)


def _no_repository(name: str, named: Mapping[str, object]) -> str:
    return f"is no repository of this file.{did_you_mean(name, named)}"


def _check_circles(groups: Mapping[RepositoryName, GroupSettings], faults: Faults) -> None:
    inside = {name: [member for member in group.members if member in groups] for name, group in groups.items()}
    order = {name: index for index, name in enumerate(groups)}
    for _ in range(CIRCLES_SHOWN_MAX):
        try:
            TopologicalSorter(inside).prepare()
        except CycleError as error:
            ring: list[RepositoryName] = list(reversed(error.args[1]))[:-1]
            start = ring.index(min(ring, key=order.__getitem__))
            ring = [*ring[start:], *ring[:start], ring[start]]
            first, second = ring[0], ring[1]
            at = groups[first].members.index(second)
            circle = " -> ".join(ring)
            faults.add(
                ("repositories", first, "members", at), f"closes a circle: {circle}. Take one of them out.", second
            )
            for group, member in pairwise(ring):
                inside[group] = [kept for kept in inside[group] if kept != member or group != first]
        else:
            return


def _check_writable(
    group: GroupSettings,
    target: RepositoryName,
    repositories: Repositories,
    named: Mapping[str, object],
    faults: Faults,
) -> None:
    path: Path = ("repositories", group.name, "writable")
    found = repositories.get(target)
    if target not in named:
        faults.add(path, _no_repository(target, named), target)
    elif found is not None and not isinstance(found, HostedSettings):
        faults.add(path, "takes no pushes: `writable` names a hosted repository.", target)
    elif not _holds(group, target, repositories):
        faults.add(path, f"is no member of {group.name}. Add it to `members`.", target)


def _holds(group: GroupSettings, target: RepositoryName, repositories: Repositories) -> bool:
    """Whether ``target`` is a member, groups inside the group included."""
    waiting, seen = list(group.members), set[RepositoryName]()
    while waiting:
        member = waiting.pop()
        if member == target:
            return True
        inner = repositories.get(member)
        if member not in seen and isinstance(inner, GroupSettings):
            waiting.extend(inner.members)
        seen.add(member)
    return False


def check_stages(
    stages: Iterable[tuple[Path, Stage]], repositories: Repositories, named: Mapping[str, object], faults: Faults
) -> None:
    """A stage is a hosted repository of its own, under a name that means nothing else."""
    owners: dict[RepositoryName, str] = {}
    for path, stage in stages:
        found = repositories.get(stage.repository)
        if stage.repository not in named:
            faults.add(path, _no_repository(stage.repository, named), stage.repository)
        elif found is not None and not isinstance(found, HostedSettings):
            faults.add(path, "cannot be a stage: a stage is a hosted repository.", stage.repository)
        elif (other := owners.setdefault(stage.repository, stage.name)) != stage.name:
            faults.add(path, f"is already the stage `{other}`.", stage.repository)
        if stage.name in named and stage.name != stage.repository:
            faults.add(path, f"gives the stage the name of another repository, `{stage.name}`. Rename the stage.")


def check_proxies(repositories: Repositories, listeners: Iterable[tuple[Path, Address]], faults: Faults) -> None:
    """Credentials are whole, times fit each other, the CA can be read, and nobody asks himself."""
    own = [address for _, address in listeners]
    for name, proxy in repositories.items():
        if not isinstance(proxy, ProxySettings):
            continue
        path: Path = ("repositories", name)
        if faults.written((*path, "username_env")) and not faults.written((*path, "password_env")):
            faults.add((*path, "username_env"), "needs `password_env` beside it.")
        if faults.written((*path, "password_env")) and not faults.written((*path, "username_env")):
            faults.add((*path, "password_env"), "needs `username_env` beside it.")
        if proxy.connect_timeout_seconds > proxy.timeout_seconds:
            faults.add((*path, "connect_timeout"), f"must not be longer than `timeout`, {proxy.timeout_seconds}s.")
        if proxy.ca is not None and not is_ca(proxy.ca):
            faults.add((*path, "ca"), "holds no certificate in PEM form.", str(proxy.ca))
        parts = urlsplit(proxy.upstream)
        asked = Address(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if any(asked.collides(address) for address in own if not address.is_wildcard):
            faults.add((*path, "upstream"), "is this server itself.", proxy.upstream)


def is_ca(path: FilePath) -> bool:
    """Whether the file holds certificates in PEM form."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def check_tls(tls: TlsSettings | None, external_url: str | None, faults: Faults) -> None:
    """Certificate and key belong together, and people are sent to https."""
    if tls is None:
        return
    if external_url is not None and external_url.startswith("http://"):
        faults.add(("external_url",), "must begin with https://, since `tls` is set.", external_url)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")  # never asks on the terminal
    except (OSError, ValueError):
        faults.add(
            ("tls",),
            f"cannot be used: {tls.certificate} and {tls.key} must be a certificate and its own key, "
            "both in PEM form, the key without a passphrase.",
        )


def check_accounts(accounts: Mapping[str, AccountSettings], faults: Faults) -> None:
    """Each account has one source of its password and at least one role."""
    for name, account in accounts.items():
        path: Path = ("accounts", name)
        given = sum(faults.written((*path, source)) for source in PASSWORD_SOURCES)
        if given != 1:
            told = "no password" if given == 0 else "more than one password"
            faults.add(path, f"has {told}. Give one of password_env, password_file, password_hash and password_vault.")
        if not account.roles:
            faults.add((*path, "roles"), "is empty. Give at least one role.")
        elif len(set(account.roles)) < len(account.roles):
            faults.add((*path, "roles"), "names a role twice.")


def check_roles(
    accounts: Mapping[str, AccountSettings],
    roles: Mapping[str, Rules],
    named: Mapping[str, object],
    repositories: Mapping[str, object],
    faults: Faults,
) -> None:
    """Accounts have roles that there are, and a rule of a role gives something to something. ``named`` are all roles of
    the file, faulty ones too; ``repositories`` likewise."""
    known = (*BUILT_IN_ROLES, *named)
    for name, account in accounts.items():
        for at, role in enumerate(account.roles):
            if role not in known:
                hint = did_you_mean(role, known) or f" Known: {', '.join(known)}."
                faults.add(("accounts", name, "roles", at), f"is unknown.{hint}", role)
    for name, rules in roles.items():
        for at, rule in enumerate(rules):
            path: Path = ("roles", name, at)
            if not rule.rights:
                faults.add((*path, "rights"), "is empty. Give at least one right.")
            for pattern in rule.repositories.texts:
                if "*" not in pattern and pattern not in repositories:
                    faults.add((*path, "repositories"), _no_repository(pattern, repositories), pattern)
