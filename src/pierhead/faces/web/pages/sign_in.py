"""Signing in with a name and a password, and signing out."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from msgspec import Struct

from pierhead.commits.session import FIRST_SIGN_IN, end_sessions, open_session
from pierhead.domain.refusals import NotAuthenticated, TooManyLogins, Unavailable
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.cookies import cookie_name, cookie_of
from pierhead.faces.door.origin import own_path
from pierhead.faces.door.visitors import SESSION_COOKIE
from pierhead.faces.web.visit import Visit
from pierhead.ports.metadata.sessions import SessionRow

HOME: Final = "/"
# 401 has to name a way (RFC 9110, 11.6.1); with Basic, browsers would ask for a password in a window of their own.
_CHALLENGE: Final = ("WWW-Authenticate", 'Form realm="Pierhead"')


class SignIn(Struct, frozen=True):
    """``redirect`` is where one goes afterwards, ``name`` what was typed before, ``fault`` why it was refused.
    ``trouble`` is what is wrong with the single sign-on.

    ``button`` is the text of the single sign-on, ``single`` its address; both are empty if there is none. ``first`` is
    True until somebody has signed in, ever.
    """

    redirect: str
    name: str
    fault: str
    ended: bool
    trouble: str
    button: str
    single: str
    first: bool


class SignedOut(Struct, frozen=True):
    """``provider`` is where one may be signed in still, ``farewell`` the address that ends it; empty if none."""

    provider: str
    farewell: str


async def show(visit: Visit) -> Answer:
    """Who is signed in already goes where they wanted to. Raises QueryInvalid for a redirect to another site."""
    redirect = own_path(visit.query.get("redirect") or HOME)
    if visit.visitor is not None:
        return visit.redirect(redirect)
    ended = cookie_of(visit.ask, cookie_name(SESSION_COOKIE, visit.secure)) is not None
    return await sign_in_page(visit, redirect, ended=ended)


async def submit(visit: Visit) -> Answer:
    """What is right opens a session; what is wrong gives the form again, with the name."""
    redirect = own_path(visit.form.get("redirect") or HOME)
    name, password = visit.form.get("name", "").strip(), visit.form.get("password", "")
    if not name or not password:
        return await sign_in_page(visit, redirect, name, "Type a name and a password.", 400)
    try:
        who = await visit.shop.guard.login(visit.ask, name, password)
    except NotAuthenticated as refusal:
        visit.ask.note["refused"] = type(refusal).__name__
        answer = await sign_in_page(visit, redirect, name, refusal.message, 401)
        answer.headers = (*answer.headers, _CHALLENGE)
        return answer
    except TooManyLogins as refusal:
        visit.ask.note["refused"] = type(refusal).__name__
        answer = await sign_in_page(visit, redirect, name, refusal.message, 429)
        answer.headers = (*answer.headers, ("Retry-After", str(refusal.retry_after)))
        return answer
    visit.ask.note["account"] = who.name
    if who.through.get("how") != "password":
        # A token opens ports, not pages: a session would outlive it, and give more than it was narrowed to.
        return await sign_in_page(
            visit, redirect, name, "A token does not sign in here: use the account's password.", 401
        )
    await begin_session(visit, who.name, "password", None)
    return visit.redirect(redirect)


async def begin_session(visit: Visit, account: str, through: str, sign_on: bytes | None) -> None:
    """Opens a session under a new cookie; one that the browser had for the same account ends. ``sign_on`` is the mark
    of a single sign-on. Raises NotAuthenticated for an account that is gone by now, SignOnRefused, Unavailable."""
    visitors, now = visit.shop.visitors, visit.shop.clock.now()
    stamp = await visitors.stamp_of(account)
    if stamp is None:
        raise NotAuthenticated(f"The account {account} is disabled here, or not there any more.")
    cookie, session = visitors.new_secret()
    expires = now + visitors.rules.longest_seconds * 1_000_000
    row = SessionRow(session, account, stamp, through, now, now, expires, visit.address, visit.agent)
    before = None if visit.visitor is None else visit.visitor.session
    replaced = before.id if before is not None and before.account == account else None
    await visit.shop.store.write(lambda tx: open_session(tx, row, replaced, sign_on))
    visit.set_header(visitors.set_session(cookie))
    visit.end_visit()


async def sign_in_page(
    visit: Visit,
    redirect: str,
    name: str = "",
    fault: str = "",
    status: int = 200,
    *,
    ended: bool = False,
    trouble: str = "",
) -> Answer:
    """The form, with what there is to say above it."""
    visit.ensure_visit()
    provider = visit.site.provider
    page = SignIn(
        redirect=redirect,
        name=name,
        fault=fault,
        ended=ended,
        trouble=trouble,
        button="" if provider is None else provider.button,
        single="" if provider is None else f"/-/sign-in/single?redirect={quote(redirect, safe='/')}",
        first=await _nobody_yet(visit),
    )
    return visit.page("sign_in", "Sign in", page, status)


async def _nobody_yet(visit: Visit) -> bool:
    try:
        return await visit.shop.store.report(lambda reports: reports.note(FIRST_SIGN_IN)) is None
    except (TimeoutError, Unavailable):
        return False


async def leave(visit: Visit) -> Answer:
    """Ends this session."""
    guest, circumstances = visit.guest, visit.circumstances()
    await visit.shop.store.write(lambda tx: end_sessions(tx, guest.session.account, [guest.session.id], circumstances))
    visit.set_header(visit.shop.visitors.clear_session())
    return visit.redirect("/-/signed-out" if guest.session.through == "password" else "/-/signed-out?single")


async def left(visit: Visit) -> Answer:
    """Says so; after a single sign-on, how to sign out at the provider too."""
    provider = visit.site.provider if "single" in visit.query else None
    farewell = ""
    if provider is not None:
        try:
            farewell = await provider.sign_on.farewell(f"{visit.site.external_url}/-/signed-out")
        except Unavailable:
            farewell = ""
    page = SignedOut("" if provider is None else provider.name, farewell)
    return visit.page("signed_out", "Signed out", page)
