"""Who somebody is: sources that are asked in turn until one does not say that the credential is not its own."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.discreet import Discreet

ID_TOKEN_NAME: Final = "oidc"
ACCOUNT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
"""What accounts of ours can be called. Others who are let in, such as jobs of a CI system, bear names that do not fit
(with a ``:`` or a ``/``), so that none is ever taken for an account."""

_JWT: Final = re.compile(r"[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+")


class Credential(Discreet, frozen=True):
    """A name and a password as a client sent them; never shown."""

    name: str
    password: str

    @property
    def is_id_token(self) -> bool:
        """Whether it is sent as the token of a job is: three parts (RFC 7515, 3.1), under the name for such tokens."""
        return self.name == ID_TOKEN_NAME and _JWT.fullmatch(self.password) is not None


class NotMine(Struct, frozen=True):
    """This source knows nothing of such a credential."""


class Wrong(Struct, frozen=True):
    """The credential is this source's and does not hold; ``why`` is a sentence that a client may read."""

    why: str


class Checked(Struct, frozen=True):
    """Somebody whose credential may be remembered for ``seconds`` at most; not at all if they are 0 or less.

    With ``still``, it holds as long as that gives somebody, which is asked at each request: for a credential that may
    be taken back at any moment, and whose check costs next to nothing.
    """

    principal: Principal
    seconds: float = limits.CREDENTIAL_CACHE_SECONDS
    still: Callable[[], Awaitable[Principal | None]] | None = None


class Lagging(Struct, frozen=True):
    """A token of ours whose account this process does not know, or not as it was: another may have made it just now.

    ``why`` it does not hold if this process has missed nothing; ``caught_up`` returns when it knows what the database
    does, and raises Unavailable.
    """

    why: str
    caught_up: Callable[[], Awaitable[None]]


class IdentitySource(Protocol):
    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        """Takes the same time for accounts that are there and those that are not. A Principal may be remembered for
        ``limits.CREDENTIAL_CACHE_SECONDS``.

        Raises Unavailable where somebody outside would have to be asked and does not answer, TokenNotAccepted for a
        token of a job that does not hold, and TokenNotTrusted for one that is genuine and that no rule is about. None
        of them slows down other logins, nor is remembered.
        """


class Accounts(Protocol):
    """Who there is, in memory: accounts of the configuration file, those made over REST, and ``admin``."""

    def principal(self, name: str) -> Principal | None:
        """With the rules that its roles give now; None for one that is not there or is disabled."""

    def made(self, name: str) -> int:
        """When the account of this name was made, in microseconds since 1970; 0 for one of the configuration file. A
        later account of the same name is another one."""

    def revoked(self, access_token: str) -> bool:
        """Whether the access token of this id was taken back lately: within the life of a bearer token at least."""


class LiveAccounts(Accounts, Protocol):
    """The same, where others may be changing them."""

    async def fresh(self) -> None:
        """Returns when every change that was committed before the call is known. Raises Unavailable."""

    def origin(self, name: str) -> str | None:
        """Where the account is defined: an access token holds for no other of the same name. None if not there."""


class Passwords(Protocol):
    """Hashes, made and checked away from the event loop."""

    async def hash(self, password: str) -> str:
        """In PHC form."""

    async def fits(self, hashed: str, password: str) -> bool:
        """Whether ``hashed`` was made of ``password``."""


class Known(Struct, frozen=True):
    """An account that may sign in. ``stamp`` is another one as soon as its password is, or the account is another."""

    principal: Principal
    stamp: bytes


class People(Protocol):
    async def person(self, name: str) -> Known | None:
        """Who signed in once, as they are now; None for an account that is gone or disabled."""


class SignedOn(Struct, frozen=True):
    """Whom a provider vouches for: ``subject`` is theirs for ever, ``name`` may change; ``groups`` as it names them."""

    subject: str
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
