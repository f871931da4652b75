"""A bearer token for what was asked for and may be had: never more than either.

A token names repositories that hold images themselves, never a group: a scope that was asked for through a group stands
for each member in which the account may pull the image, and for a push to the one that takes the group's pushes. So the
same token is good on every port and by path, and nothing in it hangs on where it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.access import Principal, Right
from pierhead.domain.lookup import split_path
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import Denied, NotAuthenticated, Refusal
from pierhead.domain.scopes import CATALOG, Access, Scope, actions_of
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import ACCOUNT_NAME, Accounts
from pierhead.ports.tokens import Claims, Tokens
from pierhead.repositories.kind import Caching, Local
from pierhead.repositories.table import Entry, Table

_SECOND: Final = 1_000_000


class Issuer(Struct, frozen=True):
    """What tokens are made of. ``seconds`` is how long one holds."""

    tokens: Tokens
    accounts: Accounts
    table: Table
    clock: Clock
    entropy: Entropy
    seconds: int


class Issued(Struct, frozen=True):
    """``issued`` is in seconds since 1970, a little in the past, since clients count the token's life by their own
    clocks. ``scope`` is what was given, in the words in which it was asked for."""

    token: str
    seconds: int
    issued: int
    scope: str


def issue_token(issuer: Issuer, who: Principal, port: RepositoryName | None, scopes: Sequence[Scope]) -> Issued:
    """``port`` is the repository of the port that was asked, None for the main one, where names begin with a
    repository's. Scopes that do not fit into a token any more are left out, the last first.

    Raises NotAuthenticated for an account that there is no longer, Denied for somebody whose rules fit into no token,
    Unavailable.
    """
    of_ours = ACCOUNT_NAME.fullmatch(who.name) is not None
    if of_ours and issuer.accounts.principal(who.name) is None:
        raise NotAuthenticated(f"The account {who.name} may not sign in any more.")
    granted = [(scope, _access(issuer.table, who, port, scope)) for scope in scopes]
    now = issuer.clock.now() // _SECOND
    back = now - limits.TOKEN_BACKDATED_SECONDS
    name = issuer.entropy.token(9).hex()
    while True:
        held: dict[tuple[RepositoryName, ImageName], Access] = {}
        for one in (one for _, access in granted for one in access):
            before = held.get((one.repository, one.image))
            rights = one.rights if before is None else before.rights | one.rights
            held[one.repository, one.image] = Access(one.repository, one.image, rights, one.row)
        token = issuer.tokens.sign(
            Claims(
                who.name,
                issued=back,
                starts=back,
                ends=now + issuer.seconds,
                id=name,
                access=tuple(held.values()),
                catalog=any(scope.is_catalog for scope, _ in granted),
                rules=None if of_ours else who.rules,
                limit=who.limit,
                through=who.through,
                made=issuer.accounts.made(who.name) if of_ours else 0,
            )
        )
        if len(token) <= limits.TOKEN_BYTES_MAX:
            return Issued(token, issuer.seconds, back, " ".join(_words(granted)))
        if not granted:
            raise Denied(who.name, "have", "a token", "Its rules are more than fit into one; use Basic instead.")
        granted = granted[: len(granted) // 2]


def _access(table: Table, who: Principal, port: RepositoryName | None, scope: Scope) -> list[Access]:
    """What may be had of a scope; nothing for a name that cannot be one, or of a repository that there is not."""
    if scope.is_catalog:
        return []
    try:
        if port is None:
            port, image = split_path(scope.name, table.entries)
        else:
            image = ImageName.parse(scope.name)
        entry = table.entry(port)
    except Refusal:
        return []
    found: dict[RepositoryName, Access] = {}
    for leaf, rights in _leaves(table, entry, who, scope.rights):
        repository = leaf.repository
        if not isinstance(repository, Local | Caching) or leaf.name in found:
            continue
        name = repository.judged(image)
        given = frozenset(right for right in rights if who.may(right, leaf.name, name))
        if given:
            found[leaf.name] = Access(leaf.name, name, given, repository.row_id)
    return list(found.values())


def _leaves(
    table: Table, entry: Entry, who: Principal, rights: frozenset[Right]
) -> Iterator[tuple[Entry, frozenset[Right]]]:
    """The repositories that a scope stands for, each with what can be done there this way."""
    if entry.kind == "hosted":
        yield entry, rights
        return
    if entry.writable is not None:
        yield table.entry(entry.writable), rights - {Right.DELETE}
    for leaf in table.leaves(entry, who):
        yield leaf.entry, rights & {Right.PULL}


def _words(granted: Sequence[tuple[Scope, list[Access]]]) -> Iterator[str]:
    for scope, access in granted:
        if scope.is_catalog:
            yield CATALOG
        elif access:
            rights = frozenset(right for one in access for right in one.rights)
            yield f"{scope.kind}:{scope.name}:{','.join(actions_of(rights))}"
