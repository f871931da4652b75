"""A command line is approved in a browser, and gets an access token, once."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.commits.account import By, NewAccessToken, add_access_token
from pierhead.domain import limits
from pierhead.domain.refusals import CodeUnknown, TooManyLogins
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.device_logins import DeviceLogin, LoginState
from pierhead.ports.metadata.store import Tx
from pierhead.ports.metadata.values import Event


def ask_for_login(tx: Tx, row: DeviceLogin) -> None:
    """Raises TooManyLogins if very many wait already."""
    if not tx.device_logins.open(row, limits.DEVICE_LOGINS_MAX):
        raise TooManyLogins(limits.DEVICE_LOGIN_SECONDS, at_once=True)


def waiting(tx: Tx, code: bytes) -> DeviceLogin:
    """The one that waits under this code. Raises CodeUnknown: also for one that has ended, or was decided."""
    row = tx.device_logins.by_code(code)
    if row is None or row.expires <= tx.now or row.state is not LoginState.ASKED:
        raise CodeUnknown
    return row


def decide_login(tx: Tx, code: bytes, approve: bool, account: str, circumstances: Mapping[str, object]) -> None:
    """Raises CodeUnknown."""
    row = waiting(tx, code)
    if not tx.device_logins.decide(row.id, LoginState.APPROVED if approve else LoginState.REFUSED, account):
        raise CodeUnknown
    kind = "login.approved" if approve else "login.refused"
    body = {"machine": row.machine, "asked_from": row.address, **circumstances}
    tx.events.append(None, Event(kind, account, body))


def look_after(tx: Tx, login: bytes, interval: int) -> DeviceLogin | None:
    """What was decided; None for one that is not there, or has ended. A command line that was refused is forgotten.

    Raises TooManyLogins for one that asks more often than every ``interval`` microseconds.
    """
    row = tx.device_logins.by_id(login)
    if row is None or row.expires <= tx.now:
        return None
    if row.polled + interval > tx.now:
        raise TooManyLogins(2 * interval // 1_000_000, at_once=True)
    tx.device_logins.polled(login, tx.now)
    if row.state is LoginState.REFUSED:
        tx.device_logins.forget(login)
    return row


def hand_over(tx: Tx, login: bytes, new: NewAccessToken, by: By) -> AccessTokenRow:
    """Makes the token of an approved login and forgets the login, together. Raises CodeUnknown for one that was handed
    over before, and what ``add_access_token`` raises."""
    if not tx.device_logins.forget(login):
        raise CodeUnknown
    return add_access_token(tx, new, by)
