"""Accounts are made, changed, given a password and taken away. The caller has looked whether that is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from pierhead.commits import account as commits
from pierhead.commits.account import AccountChange, By, NewAccount
from pierhead.domain import limits
from pierhead.domain.refusals import Denied
from pierhead.domain.refusals_accounts import AccountUnknown, BodyInvalid, NameTaken, NotHere, RoleUnknown
from pierhead.domain.secrets import PREFIX
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Account, Desk, Origin

KINDS = ("person", "service")


async def add_account(store: Store, desk: Desk, new: NewAccount, password: str | None, by: By) -> Account:
    """Raises NameTaken, RoleUnknown, BodyInvalid."""
    await desk.directory.fresh()
    there = desk.directory.account(new.name)
    if there is not None and there.origin is not Origin.REST:
        raise NameTaken("an account", new.name, _wins(there.origin))
    _check_kind(new.kind)
    _check_roles(desk, new.roles)
    hashed = None if password is None else await desk.passwords.hash(checked(password))
    made = replace(new, password_hash=hashed)
    await store.write(lambda tx: commits.add_account(tx, made, by))
    return await _now(desk, new.name)


async def change_account(store: Store, desk: Desk, name: str, change: AccountChange, by: By) -> Account:
    """Raises AccountUnknown, NotHere, RoleUnknown, BodyInvalid."""
    await _kept(desk, name)
    if change.kind is not None:
        _check_kind(change.kind)
    if change.roles is not None:
        _check_roles(desk, change.roles)
    await store.write(lambda tx: commits.change_account(tx, name, change, by))
    return await _now(desk, name)


async def remove_account(store: Store, desk: Desk, name: str, by: By) -> None:
    """Its access tokens hold no more. Raises AccountUnknown, NotHere."""
    await _kept(desk, name)
    await store.write(lambda tx: commits.remove_account(tx, name, by))
    await desk.directory.fresh()


async def set_password(store: Store, desk: Desk, name: str, password: str, by: By, *, old: str | None) -> None:
    """``old`` is what it has to be now; None where that is not asked. Raises AccountUnknown, NotHere, Denied,
    BodyInvalid."""
    account = await _kept(desk, name)
    hashed = await desk.passwords.hash(checked(password))
    if old is not None:
        before = desk.password_of(account)
        if before is None or not await desk.passwords.fits(before, old):
            raise Denied(by.account, "change", "its password", "The old one is wrong.")
    change = AccountChange(password_hash=hashed)
    await store.write(lambda tx: commits.change_account(tx, name, change, by))
    await desk.directory.fresh()


def checked(password: str) -> str:
    """Raises BodyInvalid for a password that is too short or could never be sent."""
    least, most = limits.PASSWORD_CHARACTERS_MIN, limits.PASSWORD_CHARACTERS_MAX
    if not least <= len(password) <= most:
        raise BodyInvalid("password", f"has to have {least} to {most} characters")
    if not password.isprintable():
        raise BodyInvalid("password", "holds a control character, which no client sends")
    if password.startswith(PREFIX):
        raise BodyInvalid("password", f"begins with {PREFIX}, as access tokens do. Choose another")
    return password


async def _kept(desk: Desk, name: str) -> Account:
    await desk.directory.fresh()
    account = desk.directory.account(name)
    if account is None:
        raise AccountUnknown(name)
    if account.origin is Origin.FILE:
        raise NotHere(f"The account {name}", "it stands in the configuration file. Change it there and send SIGHUP")
    if account.origin is Origin.BUILT_IN:
        raise NotHere(
            f"The account {name}",
            "it is built in. Its password is set anew on the machine itself: `pierhead admin reset-password`",
        )
    return account


def _wins(origin: Origin) -> str:
    return ", built in" if origin is Origin.BUILT_IN else " in the configuration file, which wins over REST"


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise BodyInvalid("kind", f"has to be one of {', '.join(KINDS)}")


def _check_roles(desk: Desk, roles: Sequence[str]) -> None:
    known = desk.directory.roles
    for role in roles:
        if role not in known:
            raise RoleUnknown(role, list(known))
    if not roles or len(set(roles)) < len(roles):
        raise BodyInvalid("roles", "has to name at least one role, and none twice")


async def _now(desk: Desk, name: str) -> Account:
    await desk.directory.fresh()
    account = desk.directory.account(name)
    if account is None:
        raise AccountUnknown(name)  # somebody has removed it meanwhile
    return account
