"""Vault's API as far as passwords of accounts need it, for as long as the program runs. OpenBao has the same."""

from __future__ import annotations

from pierhead.adapters.vault.client import Vault, VaultSecret, VaultSettings
from pierhead.adapters.vault.sign_in import AppRole, GivenToken, Jwt, Way

__all__ = ["AppRole", "GivenToken", "Jwt", "Vault", "VaultSecret", "VaultSettings", "Way"]
