"""Who a bearer token speaks for, and what it lets them do. No database is asked about an account that is known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from pierhead.domain.access import Principal
from pierhead.domain.scopes import Access, rules_for
from pierhead.ports.clock import Clock
from pierhead.ports.identity import ACCOUNT_NAME, Accounts, Lagging
from pierhead.ports.tokens import Bad, Claims, Tokens
from pierhead.repositories.kind import Caching, Local
from pierhead.repositories.table import Table

_SECOND: Final = 1_000_000


class Accepting(Struct, frozen=True):
    """What tokens are held against. Called with a token; see ``faces.door.guard.ReadToken``."""

    tokens: Tokens
    accounts: Accounts
    table: Table
    clock: Clock
    caught_up: Callable[[], Awaitable[None]]
    """Returns when ``accounts`` are those of the database. Raises Unavailable."""

    def __call__(self, token: str) -> tuple[Principal, float] | str | Lagging:
        """The principal and how many seconds the token still holds; or why it does not."""
        claims = self.tokens.verify(token)
        if isinstance(claims, Bad):
            return claims.why
        if self.accounts.revoked(str(claims.through.get("id", ""))):
            return "The access token that this token was made with was revoked."
        who = self._bearer(claims)
        if who is None:
            why = "The token's account may not sign in any more."
            return Lagging(why, self.caught_up) if _is_of_an_account(claims) else why
        asked = rules_for(one for one in claims.access if self._is_there(one))
        limit = who.limit if claims.limit is None else claims.limit
        principal = Principal(who.name, who.rules, limit, asked, claims.catalog, claims.through)
        return principal, claims.ends - self.clock.now() / _SECOND

    def _bearer(self, claims: Claims) -> Principal | None:
        """An account as it is now, or somebody else with the rules that the token brings along."""
        if _is_of_an_account(claims):
            same = self.accounts.made(claims.subject) == claims.made
            return self.accounts.principal(claims.subject) if same else None
        if claims.rules is None or ACCOUNT_NAME.fullmatch(claims.subject):
            return None
        return Principal(claims.subject, claims.rules)

    def _is_there(self, one: Access) -> bool:
        """Whether the repository is still the one that the token was made for."""
        entry = self.table.entries.get(one.repository)
        repository = None if entry is None else entry.repository
        return isinstance(repository, Local | Caching) and repository.row_id == one.row


def _is_of_an_account(claims: Claims) -> bool:
    """Nobody becomes an account of ours by bringing rules along."""
    return claims.rules is None and ACCOUNT_NAME.fullmatch(claims.subject) is not None
