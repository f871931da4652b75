"""One's own page: who am I, what may I do, where am I signed in, how should pages look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pierhead.commits.session import end_all_sessions, end_sessions
from pierhead.domain.refusals import QueryInvalid
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.cookies import cookie_name, cookie_of
from pierhead.faces.web.visit import THEME_COOKIE, THEMES, Visit
from pierhead.faces.web.words import browser_of, rights_in_words, span
from pierhead.ports.metadata.sessions import SessionRow

PATH: Final = "/-/me"
_THEME_SECONDS: Final = 365 * 24 * 3600
_DONE: Final = {
    "session": "That session has ended.",
    "theme": "The pages look as you chose.",
}
_HANDLE_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class SessionLine:
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


@dataclass(frozen=True, slots=True)
class Account:
    """``rights`` are sentences; ``idle`` says in words after what time without use a session ends."""

    name: str
    through: str
    rights: tuple[str, ...]
    sessions: tuple[SessionLine, ...]
    idle: str
    theme: str


async def show(visit: Visit) -> Answer:
    """For whoever is signed in."""
    guest = visit.guest
    account = guest.session.account
    rows = await visit.shop.store.report(lambda reports: reports.sessions(account))
    theme = cookie_of(visit.ask, cookie_name(THEME_COOKIE, visit.secure)) or ""
    page = Account(
        name=guest.who.name,
        through=guest.session.through,
        rights=tuple(rights_in_words(guest.who.rules)),
        sessions=_lines(visit, rows),
        idle=span(visit.shop.visitors.rules.idle_seconds),
        theme=theme if theme in THEMES else "",
    )
    return visit.page("account", f"{guest.who.name}", page, notice=_DONE.get(visit.query.get("done", ""), ""))


def _lines(visit: Visit, rows: Sequence[SessionRow]) -> tuple[SessionLine, ...]:
    """Those that still hold, this one first."""
    now, idle = visit.shop.clock.now(), visit.shop.visitors.rules.idle_seconds * 1_000_000
    mine = visit.guest.session.id
    alive = [row for row in rows if row.expires > now and row.seen + idle > now]
    lines = [
        SessionLine(
            handle=handle_of(row.id),
            this=row.id == mine,
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
