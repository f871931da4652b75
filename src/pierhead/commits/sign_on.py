"""Whose account somebody has who comes by single sign-on."""

from __future__ import annotations

from pierhead.commits.account import AccountChange, By, NewAccount, add_account, change_account
from pierhead.domain.refusals import SignOnRefused, shown
from pierhead.domain.roles import ACCOUNT_GRAMMAR, is_account_name
from pierhead.ports.metadata.store import Tx


def take_in_person(tx: Tx, issuer: str, subject: str, name: str, roles: tuple[str, ...], by: By) -> str:
    """The name of the account of ``subject``, who never becomes anybody else: an account that was made in another way,
    or for another subject, is not theirs whatever they are called. The first time an account is made, without a
    password; each time it gets the roles that their groups give.

    Raises SignOnRefused.
    """
    known = tx.sessions.account_of(issuer, subject)
    row = None if known is None else tx.accounts.find(known)
    if known is not None and row is not None:
        if row.disabled:
            raise SignOnRefused(f"the account {known} is disabled here")
        change_account(tx, known, AccountChange(roles=roles), by)
        return known
    if not is_account_name(name):
        raise SignOnRefused(f"`{shown(name)}` cannot be an account: {ACCOUNT_GRAMMAR}")
    if tx.accounts.find(name) is not None:
        raise SignOnRefused(f"{name} is the name of another account here")
    add_account(tx, NewAccount(name, "person", roles), by)
    tx.sessions.bind(issuer, subject, name)
    return name
