"""Sessions of people in browsers: opened, ended, and told of in the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pierhead.domain import limits
from pierhead.domain.refusals import SignOnRefused
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event

FIRST_SIGN_IN = "first_sign_in"
"""The note that somebody has signed in to the pages, ever."""


def open_session(tx: Tx, row: SessionRow, replaced: bytes | None, sign_on: bytes | None) -> None:
    """``replaced`` is the session that the browser had until now; ``sign_on`` is the mark of a single sign-on, which
    opens one session only. An account has a bounded number of sessions: the oldest goes.

    Raises SignOnRefused for a sign-on that was used before.
    """
    if sign_on is not None and not tx.sessions.spend(sign_on, tx.now + 2 * limits.SIGN_ON_SECONDS_MAX * 1_000_000):
        raise SignOnRefused("it was used already")
    earlier = list(tx.sessions.of(row.account))
    for old in earlier[limits.SESSIONS_PER_ACCOUNT_MAX - 1 :]:
        tx.sessions.end(old.account, old.id)
    if replaced is not None:
        tx.sessions.end(row.account, replaced)
    tx.sessions.open(row)
    if tx.notes.get(FIRST_SIGN_IN) is None:
        tx.notes.put(FIRST_SIGN_IN, row.account)
    body = {"through": row.through, "address": row.address, "agent": row.agent}
    tx.events.append(None, Event("sign in", row.account, body))


def end_sessions(tx: Tx, account: str, sessions: Collection[bytes], circumstances: Mapping[str, object]) -> int:
    """Ends those of ``sessions`` that are the account's; how many that were."""
    ended = sum(tx.sessions.end(account, session) for session in sessions)
    if ended:
        tx.events.append(None, Event("sign out", account, {"sessions": ended, **circumstances}))
    return ended


def end_all_sessions(tx: Tx, account: str, circumstances: Mapping[str, object]) -> int:
    """Signs the account out everywhere; how many sessions that ended."""
    return end_sessions(tx, account, [row.id for row in tx.sessions.of(account)], circumstances)
