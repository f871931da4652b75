"""Who somebody is: sources that are asked in turn until one does not say that the credential is not its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pierhead.domain.access import Principal


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a password as a client sent them; never shown."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotMine:
    """This source knows nothing of such a credential."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The credential is this source's and does not hold; ``why`` is a sentence that a client may read."""

    why: str


class IdentitySource(Protocol):
    async def verify(self, credential: Credential) -> Principal | NotMine | Wrong:
        """Takes the same time for accounts that are there and those that are not."""


@dataclass(frozen=True, slots=True)
class Known:
    """An account that may sign in. ``stamp`` (bytes) is another one as soon as its password is."""

    principal: Principal
    stamp: bytes


class People(Protocol):
    async def person(self, name: str) -> Known | None:
        """Who signed in once, as they are now; None for an account that is gone or disabled."""


@dataclass(frozen=True, slots=True)
class SignedOn:
    """Whom a provider vouches for. ``groups`` are as it names them."""

    name: str
    groups: tuple[str, ...]


class SignOn(Protocol):
    """Single sign-on at one provider (OpenID Connect Core 1.0, code flow with PKCE)."""

    async def begin(self, callback: str, state: str, nonce: str, verifier: str) -> str:
        """The provider's address to send the browser to; it comes back to ``callback``. Raises Unavailable."""

    async def finish(self, callback: str, code: str, nonce: str, verifier: str) -> SignedOn:
        """Redeems ``code``. Raises SignOnRefused, Unavailable."""

    async def farewell(self, back: str) -> str:
        """Where to sign out at the provider too, to come back to ``back``; empty if it offers none."""
