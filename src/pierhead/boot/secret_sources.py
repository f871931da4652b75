"""Where passwords are kept, out of settings: a file, or a secret in Vault; one Vault as long as its section stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pierhead.adapters.secret_files import SecretFile
from pierhead.adapters.vault import AppRole, GivenToken, Jwt, Vault, VaultSecret, VaultSettings, Way
from pierhead.boot import config_values_vault as values
from pierhead.boot.config_faults import Wrong
from pierhead.boot.settings import AccountSettings, Settings
from pierhead.boot.settings_vault import AppRoleSettings, JwtSettings, SecretName, VaultSection
from pierhead.ports.clock import Clock
from pierhead.ports.secrets import SecretAway, SecretSource, SecretText

_NOT_SET_UP = "Vault is not set up here"


class NoVault:
    """Implements ``ports.secrets.SecretSource`` where Vault's address is not known: ``why`` continues a sentence."""

    def __init__(self, place: str, why: str) -> None:
        self.place = place
        self.pause = 60.0
        self._why = why

    def stamp(self) -> object:
        """Nothing changes by itself."""
        return None

    async def read(self) -> SecretText:
        """Never."""
        raise SecretAway(self._why, _NOT_SET_UP)


def vault_warnings(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is to be said of how Vault is asked."""
    section = settings.vault
    address = "" if section is None else section.address or environ.get(section.address_env, "").strip()
    if not values.plain_address(address):
        return ()
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    told = f"Vault is asked at {shown}, in plain HTTP: whoever is on the way reads passwords, and the sign-in to Vault."
    return (f"{told} Give it TLS, and write https:// (`vault.ca` for an authority of your own).",)


class VaultAtHand:
    """The one Vault of a process. ``use`` gives another when the section or its address has changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[VaultSection, str, Vault] | None = None

    async def use(self, settings: Settings, environ: Mapping[str, str]) -> Vault | str | None:
        """The Vault of ``settings``; why there is none, or None if no account needs one. Ends the one before if it is
        another."""
        section = settings.vault
        address = "" if section is None else section.address or environ.get(section.address_env, "").strip()
        if self._known is not None and (section, address) == self._known[:2]:
            return self._known[2]
        await self.close()
        if section is None:
            return None
        if not address:
            return f"the variable {section.address_env} is not set, which is the address of Vault"
        try:
            url = values.vault_url(address)
        except Wrong:
            return f"the variable {section.address_env} is no address such as https://vault.example.com:8200"
        vault = Vault(_settings(section, url, environ), self._clock)
        self._known = (section, address, vault)
        return vault

    async def close(self) -> None:
        """Gives back its token."""
        known, self._known = self._known, None
        if known is not None:
            await known[2].aclose()


def source_of(account: AccountSettings, settings: Settings, vault: Vault | str | None) -> SecretSource | None:
    """Where the account's password is read again and again; None for one that is not."""
    if account.password_file is not None:
        return SecretFile(account.password_file)
    place = account.password_vault
    if place is None:
        return None
    if vault is None or isinstance(vault, str):
        return NoVault(f"Vault {place.path} ({place.field})", vault or "there is no section `vault`")
    return VaultSecret(
        vault, place.path, place.field, 60.0 if settings.vault is None else settings.vault.reread_seconds
    )


def _settings(section: VaultSection, url: str, environ: Mapping[str, str]) -> VaultSettings:
    return VaultSettings(
        url=url,
        way=_way(section.sign_in, environ),
        ca=section.ca,
        namespace=section.namespace,
        seconds=section.timeout_seconds,
    )


def _way(sign_in: SecretName | AppRoleSettings | JwtSettings, environ: Mapping[str, str]) -> Way:
    match sign_in:
        case AppRoleSettings():
            role_id, secret_id = (_reader(name, environ) for name in (sign_in.role_id, sign_in.secret_id))
            return AppRole(role_id, secret_id, sign_in.mount)
        case JwtSettings():
            return Jwt(sign_in.role, _file_reader(sign_in.jwt_file), sign_in.mount)
        case SecretName():
            return GivenToken(_reader(sign_in, environ))


def _reader(name: SecretName, environ: Mapping[str, str]) -> Callable[[], str]:
    if name.file is not None:
        return _file_reader(name.file)
    variable = name.variable or ""

    def read() -> str:
        value = environ.get(variable, "").strip()
        if not value:
            raise SecretAway(f"the variable {variable} is not set, which Pierhead signs in to Vault with", _NOT_SET_UP)
        return value

    return read


def _file_reader(path: Path) -> Callable[[], str]:
    def read() -> str:
        """At each sign-in anew: such files are replaced while they are in use."""
        try:
            content = path.read_bytes()[: 1 << 16].decode().strip()
        except OSError as error:
            why = (error.strerror or "unknown error").lower()
            raise SecretAway(f"{path} cannot be read ({why}), which Pierhead signs in with", _NOT_SET_UP) from None
        except ValueError:
            content = ""
        if not content:
            raise SecretAway(f"{path} holds nothing that Pierhead could sign in to Vault with", _NOT_SET_UP)
        return content

    return read
