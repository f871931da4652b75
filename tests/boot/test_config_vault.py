"""The configuration file about passwords that are kept elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pierhead.boot.config import load
from pierhead.boot.secret_sources import vault_warnings
from pierhead.boot.settings_vault import AppRoleSettings, JwtSettings, SecretName, VaultPlace
from pierhead.cli.vault import Vault
from tests.boot.test_config import SHARED, read


def test_the_passwords_of_the_example_can_be_read_from_vault_as_its_comments_say() -> None:
    text = re.sub(
        r"    password_env: .*\n    # house, in its place: (password_vault: .*)", r"    \1", SHARED.read_text()
    )
    section = re.search(r"^# house: (vault: .*)$", text, re.MULTILINE)
    assert section is not None
    settings = read(f"{text}\n{section[1]}\n")
    assert settings.vault is not None
    assert settings.vault.address == "https://vault.shared.cwiq.io"
    assert {name: account.password_vault for name, account in settings.accounts.items()} == {
        name: VaultPlace(path=f"secret/data/nexus/{name}") for name in load(SHARED).accounts
    }


VAULT = """
vault:
  address_env: OTHER_ADDR
  namespace: team-a
  {way}
  reread_every: 30s
  timeout: 2s
passwords: {{grace: 10m}}
accounts:
  v: {{password_vault: {{path: secret/data/v, field: pw}}, roles: [admin], grace: 0s}}
  f: {{password_file: f, roles: [admin]}}
"""


@pytest.mark.parametrize(
    ("way", "sign_in"),
    [
        ("token_env: TOKEN", SecretName(variable="TOKEN")),
        ("token_file: t", SecretName(file=Path("t").absolute())),
        (
            "approle: {role_id_env: R, secret_id_file: s, mount: own}",
            AppRoleSettings(
                role_id=SecretName(variable="R"), secret_id=SecretName(file=Path("s").absolute()), mount="own"
            ),
        ),
        ("jwt: {role: r, jwt_file: j}", JwtSettings(role="r", jwt_file=Path("j").absolute())),
        (
            "kubernetes: {role: r}",
            JwtSettings(
                role="r", jwt_file=Path("/var/run/secrets/kubernetes.io/serviceaccount/token"), mount="kubernetes"
            ),
        ),
    ],
)
def test_every_key_about_vault_reaches_the_settings(way: str, sign_in: object) -> None:
    settings = read(VAULT.format(way=way))
    assert settings.vault is not None
    assert settings.vault.sign_in == sign_in
    assert (settings.vault.address, settings.vault.address_env, settings.vault.namespace) == (
        None,
        "OTHER_ADDR",
        "team-a",
    )
    assert (settings.vault.reread_seconds, settings.vault.timeout_seconds, settings.grace_seconds) == (30, 2, 600)
    assert settings.accounts["v"].password_vault == VaultPlace(path="secret/data/v", field="pw")
    assert [settings.accounts[name].grace_seconds for name in "vf"] == [0, None]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://vault.example.com:8200/x", "http://vault.example.com:8200"),
        ("http://192.0.2.1", "http://192.0.2.1"),
        ("https://vault.example.com", ""),
        ("http://127.0.0.1:8200", ""),
        ("http://[::1]:8200", ""),
        ("http://localhost:8200", ""),
    ],
)
def test_a_vault_that_is_asked_in_plain_http_over_a_network_is_warned_of(address: str, said: str) -> None:
    settings = read(VAULT.format(way="token_env: TOKEN"))
    warned = vault_warnings(settings, {"OTHER_ADDR": address})
    remarked = Vault({"VAULT_ADDR": address}, lambda: 0.0).remarks
    assert len(warned) == len(remarked) == bool(said)
    for one in (*warned, *remarked):
        assert f"{said}" in one
        assert "plain HTTP" in one
