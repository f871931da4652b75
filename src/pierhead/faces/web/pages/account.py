"""One's own page: who am I, what may I do, with which tokens, and where am I signed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from pierhead.commits.session import end_all_sessions, end_sessions
from pierhead.domain.refusals import QueryInvalid
from pierhead.domain.roles import in_words
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.cookies import cookie_name, cookie_of
from pierhead.faces.web.visit import THEME_COOKIE, THEMES, Visit
from pierhead.faces.web.words import browser_of, span
from pierhead.ports.metadata.accounts import AccessTokenRow
from pierhead.ports.metadata.sessions import SessionRow
from pierhead.repositories.directory import Account as Known
from pierhead.repositories.directory import Origin

PATH: Final = "/-/me"
_THEME_SECONDS: Final = 365 * 24 * 3600
_DONE: Final = {
    "session": "That session has ended.",
    "theme": "The pages look as you chose.",
    "token": "The token is revoked. It opens nothing from now on.",
    "password": "Your password is changed. All your other sessions have ended.",
}
_HANDLE_CHARACTERS: Final = 32


class SessionLine(Struct, frozen=True):
    """``handle`` names the session in the form that ends it; instants are microseconds since 1970."""

    handle: str
    this: bool
    browser: str
    agent: str
    address: str
    through: str
    created: int
    seen: int
    expires: int


class TokenLine(Struct, frozen=True):
    """``limit`` are sentences, empty if the token may what its account may; ``used`` and ``expires`` None for never."""

    id: str
    name: str
    limit: tuple[str, ...]
    created: int
    expires: int | None
    expired: bool
    used: int | None
    address: str


class RoleLine(Struct, frozen=True):
    """What one role gives, in sentences that continue "may"."""

    name: str
    rules: tuple[str, ...]


class TokenForm(Struct, frozen=True):
    """What was typed, to be typed again after a fault."""

    name: str = ""
    days: str = "90"
    rights: str = ""
    fault: str = ""


class Account(Struct, frozen=True):
    """``secret`` is a token that was made just now; nobody sees it again. ``kept`` says where the account's password is
    changed if not here, ``password_fault`` why it was not. ``idle`` says when an unused session ends."""

    name: str
    through: str
    kept: str
    roles: tuple[RoleLine, ...]
    tokens: tuple[TokenLine, ...]
    sessions: tuple[SessionLine, ...]
    idle: str
    theme: str
    host: str
    form: TokenForm = TokenForm()
    secret: str = ""
    secret_name: str = ""
    password_fault: str = ""


async def show(visit: Visit) -> Answer:
    """For whoever is signed in."""
    return visit.page(
        "account", visit.guest.who.name, await account_of(visit), twin="/api/v1/account", notice=_done(visit)
    )


def _done(visit: Visit) -> str:
    return _DONE.get(visit.query.get("done", ""), "")


async def account_of(
    visit: Visit,
    *,
    form: TokenForm | None = None,
    secret: str = "",
    secret_name: str = "",
    password_fault: str = "",
) -> Account:
    """Read anew from one snapshot. Raises Unavailable, TimeoutError."""
    guest, desk = visit.guest, visit.shop.desk
    name = guest.who.name
    sessions, tokens = await visit.shop.store.report(
        lambda reports: (reports.sessions(name), reports.access_tokens(name))
    )
    known = desk.directory.account(name)
    theme = cookie_of(visit.ask, cookie_name(THEME_COOKIE, visit.secure)) or ""
    now = visit.shop.clock.now()
    roles = () if known is None else desk.directory.rules_by_role(known)
    return Account(
        name=name,
        through=guest.session.through,
        kept=_kept(known, known is not None and desk.password_of(known) is not None),
        roles=tuple(RoleLine(role, tuple(in_words(rule) for rule in rules)) for role, rules in roles),
        tokens=tuple(_token(row, now) for row in tokens),
        sessions=_lines(visit, sessions),
        idle=span(visit.shop.visitors.rules.idle_seconds),
        theme=theme if theme in THEMES else "",
        host=visit.site.host,
        form=form or TokenForm(),
        secret=secret,
        secret_name=secret_name,
        password_fault=password_fault,
    )


def _kept(known: Known | None, password: bool) -> str:
    """Empty for an account whose password can be changed here."""
    if known is None or known.origin is Origin.FILE:
        return "This account stands in the configuration file of the server: its password is changed there."
    if known.origin is Origin.BUILT_IN:
        return "This account is built in. Its password is set anew on the machine: pierhead admin reset-password."
    return "" if password else "You come by single sign-on: there is no password of yours here."


def _token(row: AccessTokenRow, now: int) -> TokenLine:
    return TokenLine(
        id=row.id,
        name=row.name,
        limit=() if row.limit is None else tuple(in_words(rule) for rule in row.limit),
        created=row.created,
        expires=row.expires,
        expired=row.expires is not None and row.expires <= now,
        used=row.last_used,
        address=row.last_address or "",
    )


def _lines(visit: Visit, rows: Sequence[SessionRow]) -> tuple[SessionLine, ...]:
    """Those that still hold, this one first."""
    now, idle = visit.shop.clock.now(), visit.shop.visitors.rules.idle_seconds * 1_000_000
    mine = visit.guest.session
    alive = [row for row in rows if row.expires > now and row.seen + idle > now and row.stamp == mine.stamp]
    lines = [
        SessionLine(
            handle=handle_of(row.id),
            this=row.id == mine.id,
            browser=browser_of(row.agent) or "unknown",
            agent=row.agent,
            address=row.address,
            through=row.through,
            created=row.created,
            seen=row.seen,
            expires=row.expires,
        )
        for row in alive
    ]
    return tuple(sorted(lines, key=lambda line: (not line.this, -line.seen)))


def handle_of(session: bytes) -> str:
    """Names a session to its owner; it is found by nobody else's account, and opens nothing."""
    return session.hex()[:_HANDLE_CHARACTERS]


async def end_one(visit: Visit) -> Answer:
    """Ends one of one's own sessions; this one is a sign-out. Raises QueryInvalid."""
    guest, circumstances = visit.guest, visit.circumstances()
    account, handle = guest.session.account, visit.values["session"]
    rows = await visit.shop.store.report(lambda reports: reports.sessions(account))
    chosen = [row.id for row in rows if handle_of(row.id) == handle]
    if not chosen:
        raise QueryInvalid("session", "you have no such session. Perhaps it has ended already")
    await visit.shop.store.write(lambda tx: end_sessions(tx, account, chosen, circumstances))
    if guest.session.id in chosen:
        visit.set_header(visit.shop.visitors.clear_session())
        return visit.redirect("/-/signed-out")
    return visit.redirect(f"{PATH}?done=session")


async def end_all(visit: Visit) -> Answer:
    """Signs out everywhere, here too."""
    guest, circumstances = visit.guest, visit.circumstances()
    await visit.shop.store.write(lambda tx: end_all_sessions(tx, guest.session.account, circumstances))
    visit.set_header(visit.shop.visitors.clear_session())
    return visit.redirect("/-/signed-out" if guest.session.through == "password" else "/-/signed-out?single")


async def choose_theme(visit: Visit) -> Answer:
    """Light, dark, or as the system has it; kept in this browser. Raises QueryInvalid."""
    theme = visit.form.get("theme", "")
    if theme not in (*THEMES, ""):
        raise QueryInvalid("theme", "it is light, dark or empty")
    visit.set_cookie(THEME_COOKIE, theme, _THEME_SECONDS if theme else 0)
    return visit.redirect(f"{PATH}?done=theme")
