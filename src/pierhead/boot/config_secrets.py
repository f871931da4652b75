"""Secrets that the configuration only names: read from variables, kept apart from Settings. Passwords in files and in
Vault are read again and again: see ``boot/rotations.py``.

A secret that cannot be had is no fault of the file: its account is disabled with a warning, and the server starts.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from pierhead.boot.settings import AccountSettings, ProxySettings, Settings
from pierhead.domain.names import RepositoryName


class Secret(Struct, frozen=True):
    """A text that no log and no traceback shows."""

    value: str

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


class ResolvedAccount(Struct, frozen=True, kw_only=True):
    """An account of the file with its password in plain (``password``) or as argon2id hash (``password_hash``).

    ``disabled`` is the sentence that says why neither is there; then the account cannot sign in. None of them is there
    for a password that is kept elsewhere.
    """

    name: str
    roles: tuple[str, ...]
    password: Secret | None = None
    password_hash: Secret | None = None
    disabled: str | None = None


class UpstreamCredential(Struct, frozen=True):
    """What a proxy signs in with."""

    username: str
    password: Secret


class ResolvedSecrets(Struct, frozen=True):
    """``upstreams`` has the proxies that sign in and can; ``warnings`` are sentences for the log."""

    accounts: Mapping[str, ResolvedAccount]
    upstreams: Mapping[RepositoryName, UpstreamCredential]
    warnings: tuple[str, ...]


class _Unobtainable(Exception):
    pass


def resolve_secrets(settings: Settings, environ: Mapping[str, str]) -> ResolvedSecrets:
    """Reads every secret that ``settings`` names; never raises for one that is missing."""
    warnings: list[str] = []
    accounts: dict[str, ResolvedAccount] = {}
    for name, account in settings.accounts.items():
        accounts[name] = resolved = _account(account, environ)
        if resolved.disabled is not None:
            warnings.append(resolved.disabled)
    upstreams: dict[RepositoryName, UpstreamCredential] = {}
    for repository, proxy in settings.repositories.items():
        if not isinstance(proxy, ProxySettings) or proxy.username_env is None or proxy.password_env is None:
            continue
        try:
            username = _variable(proxy.username_env, environ)
            upstreams[repository] = UpstreamCredential(username, Secret(_variable(proxy.password_env, environ)))
        except _Unobtainable as why:
            warnings.append(f"{repository} asks {proxy.upstream} without signing in: {why}.")
    return ResolvedSecrets(accounts, upstreams, tuple(warnings))


def _account(account: AccountSettings, environ: Mapping[str, str]) -> ResolvedAccount:
    name, roles = account.name, account.roles
    if account.password_hash is not None:
        return ResolvedAccount(name=name, roles=roles, password_hash=Secret(account.password_hash))
    if account.password_env is None:
        return ResolvedAccount(name=name, roles=roles)
    try:
        password = _variable(account.password_env, environ)
    except _Unobtainable as why:
        told = f"Account {name} is disabled: {why}. Set it and start again."
        return ResolvedAccount(name=name, roles=roles, disabled=told)
    return ResolvedAccount(name=name, roles=roles, password=Secret(password))


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise _Unobtainable(f"the variable {name} is {'not set' if value is None else 'empty'}")
    return value
