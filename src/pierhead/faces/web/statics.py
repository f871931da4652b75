"""Files that pages load: their names hold a hash of their content, so browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from msgspec import Struct

from pierhead.faces.door.ask import Answer

PREFIX: Final = "/-/static/"
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_NAMES: Final = ("style.css", "script.js", "logo.svg")


class Statics(Struct, frozen=True):
    """``addresses`` by the file's own name, for templates."""

    addresses: Mapping[str, str]
    _answers: Mapping[str, Answer]

    def answer(self, name: str) -> Answer | None:
        """None for a name that is not, or no longer, here."""
        return self._answers.get(name)


def load_statics() -> Statics:
    """Reads the files of the package."""
    addresses: dict[str, str] = {}
    answers: dict[str, Answer] = {}
    for name in _NAMES:
        content = files("pierhead.faces.web").joinpath(f"static/{name}").read_bytes()
        stem, _, kind = name.partition(".")
        hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"
        addresses[name] = PREFIX + hashed
        headers = (
            ("Content-Type", _KINDS[kind]),
            ("Cache-Control", "public, max-age=31536000, immutable"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        )
        answers[hashed] = Answer(200, headers, content)
    return Statics(addresses, answers)
