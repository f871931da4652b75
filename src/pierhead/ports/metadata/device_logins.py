"""Command lines that wait for somebody to approve them in a browser. Instants are microseconds since 1970, UTC."""

from __future__ import annotations

import enum
from typing import Protocol

from msgspec import Struct


class LoginState(enum.Enum):
    """What was decided so far."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"


class DeviceLogin(Struct, frozen=True):
    """``id`` and ``code`` are SHA-256 of what the command line and what the person holds. ``account`` is who decided,
    empty while nobody has; ``machine`` is what the command line says of itself, ``address`` where it asks from."""

    id: bytes
    code: bytes
    machine: str
    address: str
    agent: str
    created: int
    expires: int
    polled: int
    state: LoginState = LoginState.ASKED
    account: str = ""


class DeviceLogins(Protocol):
    def open(self, row: DeviceLogin, most: int) -> bool:
        """Forgets those that have ended; False if ``most`` are open, or the code is another's. Then nothing is done."""

    def by_id(self, login: bytes) -> DeviceLogin | None: ...

    def by_code(self, code: bytes) -> DeviceLogin | None: ...

    def decide(self, login: bytes, state: LoginState, account: str) -> bool:
        """False if it was decided before."""

    def polled(self, login: bytes, at: int) -> None: ...

    def forget(self, login: bytes) -> bool:
        """False if it was forgotten before."""
