"""Roles are made, changed and taken away. The caller has looked whether that is allowed."""

from __future__ import annotations

from pierhead.commits import account as commits
from pierhead.commits.account import By
from pierhead.domain.access import BUILT_IN_ROLES, Rules
from pierhead.domain.refusals_accounts import NotHere, RoleUnknown
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Desk, Origin


async def put_role(store: Store, desk: Desk, name: str, rules: Rules, by: By) -> bool:
    """True if it is new. Raises NotHere for one that is built in or stands in the file."""
    await _mine(desk, name)
    new = await store.write(lambda tx: commits.put_role(tx, name, rules, by))
    await desk.directory.fresh()
    return new


async def remove_role(store: Store, desk: Desk, name: str, by: By) -> None:
    """Raises NotHere, RoleInUse, RoleUnknown."""
    await _mine(desk, name)
    known = list(desk.directory.roles)
    if name not in known:
        raise RoleUnknown(name, known)
    await store.write(lambda tx: commits.remove_role(tx, name, known, by))
    await desk.directory.fresh()


async def _mine(desk: Desk, name: str) -> None:
    await desk.directory.fresh()
    if name in BUILT_IN_ROLES:
        raise NotHere(f"The role {name}", "it is built in. Give yours another name")
    found = desk.directory.roles.get(name)
    if found is not None and found[0] is Origin.FILE:
        raise NotHere(
            f"The role {name}",
            "it stands in the configuration file, which wins over REST. Change it there and send SIGHUP",
        )
