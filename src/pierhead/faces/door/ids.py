"""Names of requests: what a client sent along, or one of ours, in answers and in the log."""

from __future__ import annotations

import re
from base64 import b32encode
from typing import Final

from pierhead.faces.door.ask import Ask
from pierhead.ports.clock import Entropy

HEADER: Final = "X-Request-Id"
_VALID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_PREFIX_BYTES: Final = 5
_NOTE: Final = "request_id"


class RequestIds:
    """Makes ids that no other process makes: eight random characters of this process, and a counter."""

    def __init__(self, entropy: Entropy) -> None:
        self._prefix = b32encode(entropy.token(_PREFIX_BYTES)).decode().lower()
        self._made = 0

    def of(self, ask: Ask) -> str:
        """The request's id, the same each time: its ``X-Request-Id`` if that is a plain word, else a new one."""
        if ask.noted:
            known = ask.note.get(_NOTE)
            if known is not None:
                return str(known)
        given = ask.get(HEADER)
        if given is None or _VALID.fullmatch(given) is None:
            self._made += 1
            given = f"{self._prefix}-{self._made:x}"
        ask.note[_NOTE] = given
        return given
