"""A command line asks to be logged in by somebody who approves it in a browser. Whoever asks has no account yet."""

from __future__ import annotations

from typing import Final

from pierhead.actions import device_login
from pierhead.faces.rest import shapes
from pierhead.faces.rest.bodies import body_of
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.shapes import Json

PAGE: Final = "/-/login"


async def ask(call: Call) -> Json:
    """A code for the person, and a secret for the command line, which asks with it again."""
    body = await body_of(call.ask)
    body.refuse_others(call.keys)
    told = call.circumstances()
    asked = await device_login.ask_for_login(
        call.parts.store,
        call.parts.clock,
        call.parts.entropy,
        body.text("machine"),
        str(told["address"]),
        str(told["agent"]),
    )
    page = call.server.external_url.rstrip("/") + PAGE
    return {
        "secret": asked.secret,
        "code": asked.code,
        "page": page,
        "page_with_code": f"{page}?code={asked.code}",
        "expires_in": asked.expires_in,
        "interval": asked.interval,
    }


async def take(call: Call) -> Json:
    """What was decided; the access token, once."""
    body = await body_of(call.ask)
    body.refuse_others(call.keys)
    found = await device_login.take_login(
        call.parts.store, call.desk, call.parts.entropy, body.text("secret"), call.circumstances()
    )
    row = found.row
    return {
        "state": found.state,
        "account": found.account or None,
        "token": found.secret or None,
        "id": None if row is None else row.id,
        "expires": None if row is None else shapes.instant(row.expires),
    }
