"""A command line waits to be logged in: the page says what asks, and from where, before anything is given to it.

Somebody who sends a link with a code of their own wants to be logged in as whoever opens it (RFC 8628, 5.4). So the
page never approves by being opened, shows the code to compare, and says when the two machines are not at one address.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pierhead.actions.device_login import decide_login, find_login
from pierhead.domain import limits
from pierhead.domain.refusals import CodeUnknown
from pierhead.faces.door.ask import Answer
from pierhead.faces.web.visit import Visit
from pierhead.faces.web.words import span

PATH: Final = "/-/login"
_WORDS: Final = {"approve": True, "refuse": False}


class Device(Struct, frozen=True):
    """``code`` is empty before one was typed; the others are of the command line that waits under it. ``elsewhere``
    if that asks from another address than the browser does; ``done`` is what was decided."""

    account: str
    typed: str
    fault: str
    code: str
    machine: str
    address: str
    agent: str
    asked: int
    elsewhere: bool
    holds: str
    done: str


async def show(visit: Visit) -> Answer:
    """The form for a code, or what waits under the one of the address."""
    done = visit.query.get("done", "")
    if done in _WORDS:
        return _page(visit, done=done)
    typed = visit.query.get("code", "")
    return await _found(visit, typed) if typed else _page(visit)


async def _found(visit: Visit, typed: str) -> Answer:
    """Raises TooManyLogins for somebody who tries codes."""
    visit.shop.codes.take(visit.guest.who.name)
    try:
        code, login = await find_login(visit.shop.store, typed)
    except CodeUnknown as refusal:
        visit.ask.note["refused"] = type(refusal).__name__
        return _page(visit, typed=typed[:32], fault=refusal.message, status=404)
    page = Device(
        account=visit.guest.who.name,
        typed=typed[:32],
        fault="",
        code=code,
        machine=login.machine,
        address=login.address,
        agent=login.agent,
        asked=login.created,
        elsewhere=login.address != visit.address,
        holds=span(limits.LOGIN_TOKEN_SECONDS),
        done="",
    )
    return visit.page("device", "Log in a command line", page)


async def decide(visit: Visit) -> Answer:
    """Approves or refuses what waits under the code. Raises CodeUnknown, TooManyLogins."""
    visit.shop.codes.take(visit.guest.who.name)
    word = visit.form.get("decision", "")
    if word not in _WORDS:
        return visit.redirect(PATH)
    name = visit.guest.who.name
    await decide_login(visit.shop.store, visit.form.get("code", ""), _WORDS[word], name, visit.circumstances())
    return visit.redirect(f"{PATH}?done={word}")


def _page(visit: Visit, *, typed: str = "", fault: str = "", done: str = "", status: int = 200) -> Answer:
    page = Device(
        account=visit.guest.who.name,
        typed=typed,
        fault=fault,
        code="",
        machine="",
        address="",
        agent="",
        asked=0,
        elsewhere=False,
        holds=span(limits.LOGIN_TOKEN_SECONDS),
        done=done,
    )
    return visit.page("device", "Log in a command line", page, status)
