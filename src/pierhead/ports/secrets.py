"""Where the password of an account is kept outside of this program, and asked for again since it is changed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from pierhead.domain.access import Principal
from pierhead.domain.discreet import Discreet


class SecretText(Discreet, frozen=True):
    """A password as its source has it. ``version`` and ``written`` (microseconds since 1970) tell an answer that is
    older than another; both are 0 where a source has no versions."""

    text: str
    version: int = 0
    written: int = 0


class SecretGone(Exception):
    """The source is there and says that it holds no such password (any more). ``why`` continues a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SecretAway(Exception):
    """The source cannot be asked, or does not let us: what it said before is neither confirmed nor taken back.

    ``why`` continues a sentence for the log; ``told`` is all that a client is told, and names no place.
    """

    def __init__(self, why: str, told: str) -> None:
        super().__init__(why)
        self.why = why
        self.told = told


class SecretSource(Protocol):
    @property
    def place(self) -> str:
        """Which secret this is, for people: the same text as long as it is the same secret."""

    @property
    def pause(self) -> float:
        """How many seconds pass between two readings that nobody asked for."""

    def stamp(self) -> object:
        """Becomes another when the secret may have changed, where that costs next to nothing to see; else None."""

    async def read(self) -> SecretText:
        """In bounded time. Raises SecretGone, SecretAway."""


class RotatedPasswords(Protocol):
    """The passwords of one account that hold now, and a way to look whether there is a newer one."""

    def hashes(self) -> Sequence[str]:
        """In PHC form, the current one first; none if nothing is known."""

    async def look_again(self, tried: Sequence[str]) -> Sequence[str]:
        """Hashes that hold and are not among ``tried``, after the source was asked, if it was not just asked anyway.

        Raises Unavailable if it cannot be asked and nothing is known, or if it changed and could not be read in time.
        """

    def signed(self, principal: Principal, hashed: str) -> Principal:
        """``principal``, with which of the passwords was used in its ``through``."""


class Told(Struct, frozen=True):
    """What people may know of a password that is kept at ``source``. ``problem`` says why it cannot be read; it
    continues a sentence. ``since`` is when the current one was first seen. ``old`` is the fingerprint of the one before
    as long as that is taken: it was ``rotated`` out, is taken ``until``, and was used from ``addresses`` since, last at
    these instants."""

    source: str
    problem: str | None
    since: int | None
    old: str | None = None
    rotated: int | None = None
    until: int | None = None
    addresses: Mapping[str, int] = field(default_factory=dict)


class Rotations(Protocol):
    """What is known of passwords that are kept elsewhere, by account."""

    async def told(self, account: str) -> Told | None:
        """Without a secret; None for an account whose password is not kept elsewhere."""
