"""Sessions of people in browsers. Instants are microseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class SessionRow(Struct, frozen=True):
    """``id`` is the SHA-256 of what the cookie holds (32 bytes), ``stamp`` that of what opened it
    (``ports.identity.Known``), ``through`` is ``password``, or the name of the provider."""

    id: bytes
    account: str
    stamp: bytes
    through: str
    created: int
    seen: int
    expires: int
    address: str
    agent: str


class Sessions(Protocol):
    def open(self, row: SessionRow) -> None: ...

    def of(self, account: str) -> Sequence[SessionRow]:
        """The newest first."""

    def touch(self, session: bytes, seen: int) -> None:
        """Notes that it was used; does nothing for one that has ended."""

    def end(self, account: str, session: bytes) -> bool:
        """False if the account has no such session."""

    def end_all(self, account: str) -> None:
        """All of them, wherever."""

    def expire(self, now: int, idle: int) -> int:
        """Forgets those that have ended by ``now`` or were last seen before ``idle``, and what was spent; how many."""

    def spend(self, mark: bytes, until: int) -> bool:
        """Remembers ``mark`` until then; False if it was spent before."""

    def account_of(self, issuer: str, subject: str) -> str | None:
        """The account of somebody who comes by single sign-on; None for who never came."""

    def bind(self, issuer: str, subject: str, account: str) -> None:
        """From now on the account is theirs, and nobody else's."""
