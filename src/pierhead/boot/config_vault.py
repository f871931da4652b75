"""Where passwords are kept outside of this program: the section ``vault``, and what it has to do with accounts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from pierhead.boot.config_faults import Faults, Path
from pierhead.boot.config_rules import is_ca
from pierhead.boot.config_shape import PlaceShape, VaultShape
from pierhead.boot.settings import AccountSettings
from pierhead.boot.settings_vault import AppRoleSettings, JwtSettings, SecretName, VaultPlace, VaultSection

WAYS: Final = ("token_env", "token_file", "approle", "kubernetes", "jwt")


def place_of(shape: PlaceShape | None) -> VaultPlace | None:
    """As settings."""
    return None if shape is None else VaultPlace(path=shape.path, field=shape.field)


def vault_section(shape: VaultShape | None, faults: Faults) -> VaultSection | None:
    """As settings, or None with what is wrong among ``faults``."""
    if shape is None:
        return None
    path: Path = ("vault",)
    if faults.written((*path, "address")) and faults.written((*path, "address_env")):
        faults.add((*path, "address_env"), "says once more what `address` says. Leave one of them out.")
    if shape.ca is not None and not is_ca(shape.ca):
        faults.add((*path, "ca"), "holds no certificate in PEM form.", str(shape.ca))
    given = [way for way in WAYS if faults.written((*path, way))]
    if len(given) != 1:
        told = "has no way to sign in" if not given else f"has more than one way to sign in: {', '.join(given)}"
        faults.add(path, f"{told}. Give one of token_env, token_file, approle, kubernetes and jwt.")
        return None
    sign_in = _sign_in(shape, faults)
    if sign_in is None:
        return None
    return VaultSection(
        sign_in=sign_in,
        address=shape.address,
        address_env=shape.address_env or "VAULT_ADDR",
        ca=shape.ca,
        namespace=shape.namespace or "",
        reread_seconds=shape.reread_every,
        timeout_seconds=shape.timeout,
    )


def _sign_in(shape: VaultShape, faults: Faults) -> SecretName | AppRoleSettings | JwtSettings | None:
    if shape.approle is not None:
        role = shape.approle
        role_id = _one_of(("vault", "approle"), "role_id", role.role_id_env, role.role_id_file, faults)
        secret_id = _one_of(("vault", "approle"), "secret_id", role.secret_id_env, role.secret_id_file, faults)
        if role_id is None or secret_id is None:
            return None
        return AppRoleSettings(role_id=role_id, secret_id=secret_id, mount=role.mount)
    login = shape.kubernetes or shape.jwt
    if login is not None:
        return JwtSettings(role=login.role, jwt_file=login.jwt_file, mount=login.mount)
    if shape.token_env is None and shape.token_file is None:
        return None  # what stands there is a fault that was told already
    return SecretName(variable=shape.token_env, file=shape.token_file)


def _one_of(path: Path, what: str, variable: str | None, file: FilePath | None, faults: Faults) -> SecretName | None:
    if sum(faults.written((*path, f"{what}_{kind}")) for kind in ("env", "file")) != 1:
        faults.add(path, f"needs one of {what}_env and {what}_file.")
        return None
    return None if variable is None and file is None else SecretName(variable=variable, file=file)


def check_places(accounts: Mapping[str, AccountSettings], has_vault: bool, faults: Faults) -> None:
    """Vault is said where an account needs it, and a grace belongs to a password that is read again."""
    for name, account in accounts.items():
        path: Path = ("accounts", name)
        if account.password_vault is not None and not has_vault:
            faults.add(
                (*path, "password_vault"), "needs the section `vault`, which says where Vault is and how to sign in."
            )
        reread = any(faults.written((*path, one)) for one in ("password_file", "password_vault"))
        if account.grace_seconds is not None and not reread:
            faults.add((*path, "grace"), "belongs to password_file or password_vault, which are read again.")
