"""Who somebody is: sources that are asked in turn until one does not say that the credential is not its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

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


ACCOUNT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
"""What accounts of ours can be called. Others who are let in, such as jobs of a CI system, bear names that do not fit
(with a ``:`` or a ``/``), so that none is ever taken for an account."""


class Accounts(Protocol):
    """The accounts as they are at this moment, without asking anybody."""

    def principal(self, name: str) -> Principal | None:
        """An account's name and rules; None for one that there is not, or that may not sign in now."""
