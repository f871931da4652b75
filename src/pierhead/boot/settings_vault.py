"""Where passwords are kept outside of this program, as the configuration says it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class SecretName(Struct, frozen=True, kw_only=True):
    """A secret by the name of its variable or file; exactly one of them is set."""

    variable: str | None = None
    file: Path | None = None


class AppRoleSettings(Struct, frozen=True, kw_only=True):
    """Signs in at auth/``mount`` with a role ID and a secret ID."""

    role_id: SecretName
    secret_id: SecretName
    mount: str = "approle"


class JwtSettings(Struct, frozen=True, kw_only=True):
    """Signs in at auth/``mount`` with a JWT from a file, which is read anew each time; Kubernetes' logins too."""

    role: str
    jwt_file: Path
    mount: str = "jwt"


class VaultSection(Struct, frozen=True, kw_only=True):
    """``address`` None: the variable ``address_env`` holds it. ``sign_in`` is a token's name or a way to get one."""

    sign_in: SecretName | AppRoleSettings | JwtSettings
    address: str | None = None
    address_env: str = "VAULT_ADDR"
    ca: Path | None = None
    namespace: str = ""
    reread_seconds: int = 60
    timeout_seconds: int = 5


class VaultPlace(Struct, frozen=True, kw_only=True):
    """One field of one secret of KV version 2; ``path`` as in the API, ``secret/data/…``."""

    path: str
    field: str = "password"
