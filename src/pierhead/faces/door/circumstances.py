"""What the record tells of a request besides its subject: who through what, from where, which request."""

from __future__ import annotations

from typing import Final

from pierhead.domain.access import Principal
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.connectors import address_of
from pierhead.faces.door.ids import RequestIds

_AGENT_CHARACTERS_MAX: Final = 200


def circumstances(ask: Ask, who: Principal | None, ids: RequestIds) -> dict[str, object]:
    """``through`` says how the account signed in, as far as that is known."""
    agent = (ask.get("User-Agent") or "")[:_AGENT_CHARACTERS_MAX]
    return {
        "request_id": ids.of(ask),
        "address": address_of(ask),
        # What is no text would be refused by the database's encoder, and the push with it.
        "agent": agent if agent.isascii() else agent.encode("utf-8", "replace").decode("utf-8"),
        "through": {} if who is None else dict(who.through),
    }
