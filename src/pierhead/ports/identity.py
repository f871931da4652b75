"""Who somebody is: sources that are asked in turn until one does not say that the credential is not its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from pierhead.domain.access import Principal

ID_TOKEN_NAME: Final = "oidc"
_JWT: Final = re.compile(r"[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+")


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a password as a client sent them; never shown."""

    name: str
    password: str = field(repr=False)

    @property
    def is_id_token(self) -> bool:
        """Whether it is sent as the token of a job is: three parts (RFC 7515, 3.1), under the name for such tokens."""
        return self.name == ID_TOKEN_NAME and _JWT.fullmatch(self.password) is not None


@dataclass(frozen=True, slots=True)
class Checked:
    """Somebody whose credential may be remembered for ``seconds`` at most; not at all if they are 0 or less."""

    principal: Principal
    seconds: float


@dataclass(frozen=True, slots=True)
class NotMine:
    """This source knows nothing of such a credential."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The credential is this source's and does not hold; ``why`` is a sentence that a client may read."""

    why: str


class IdentitySource(Protocol):
    async def verify(self, credential: Credential) -> Principal | Checked | NotMine | Wrong:
        """Takes the same time for accounts that are there and those that are not.

        Raises Unavailable where somebody outside would have to be asked and does not answer, and TokenNotTrusted for a
        token that is genuine and that no rule is about; neither counts as a failed login, nor is remembered.
        """
