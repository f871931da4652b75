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
