"""Bearer tokens of this installation: signed statements that hold on every port and every node, and need no look-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from pierhead.domain.access import Rules
from pierhead.domain.scopes import Access


class Claims(Struct, frozen=True):
    """What a token says. Instants are whole seconds since 1970: it holds from ``starts`` on and no more at ``ends``.

    ``catalog``: lists of images were asked for. ``rules`` is None for an account of ours, whose rules are found by its
    name and by when it was ``made``, as ``Accounts.made`` tells; anybody else brings them along. ``limit`` is what the
    credential was narrowed to; ``through`` says how its bearer had signed in.
    """

    subject: str
    issued: int
    starts: int
    ends: int
    id: str
    access: tuple[Access, ...] = ()
    catalog: bool = False
    rules: Rules | None = None
    limit: Rules | None = None
    through: Mapping[str, object] = field(default_factory=dict)
    made: int = 0


class Bad(Struct, frozen=True):
    """A token that does not hold; ``why`` is a sentence that a client may read, and repeats nothing of the token."""

    why: str


class Tokens(Protocol):
    @property
    def service(self) -> str:
        """The name of this installation in challenges and tokens: the same on all ports and nodes, for ever."""

    def sign(self, claims: Claims) -> str:
        """A token in the compact form; takes a fraction of a millisecond. Raises Unavailable."""

    def verify(self, token: str) -> Claims | Bad:
        """What a token of ours says, if it holds now. Raises nothing, and asks nobody, whatever is given."""
