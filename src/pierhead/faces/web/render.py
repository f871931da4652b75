"""Pages as HTML: a struct of what a page shows, and a frame around it, put into a template."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pierhead.faces.door.ask import Answer
from pierhead.faces.web.statics import Statics
from pierhead.faces.web.words import age, instant, stamp

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# `no-referrer` would make browsers send `Origin: null` with our own forms (Fetch standard, 3.1).
HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "private, no-store"),
    ("Vary", "Cookie"),
)


class Frame(Struct, frozen=True):
    """What every page shows around its own. ``token`` is for its forms; ``theme`` is ``light``, ``dark`` or empty.

    ``now`` is in microseconds since 1970; ``here`` the page's own path, ``twin`` the same as JSON, empty without one.
    """

    title: str
    person: str
    token: str
    theme: str
    host: str
    version: str
    now: int
    here: str
    request_id: str
    twin: str = ""
    notice: str = ""


class Renderer:
    """Templates, which are compiled when they are first shown, and the library for them is imported then. Names that a
    template uses and nobody gave are faults of ours, and raise."""

    def __init__(self, statics: Statics) -> None:
        self._statics = statics

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        made = Environment(
            loader=PackageLoader("pierhead.faces.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.globals["static"] = self._statics.addresses
        made.filters.update(age=age, instant=instant, stamp=stamp)
        return made

    def html(self, template: str, frame: Frame, page: object) -> str:
        """``page`` is the struct whose fields the template ``template``.html shows."""
        return self._environment.get_template(f"{template}.html").render(frame=frame, page=page)

    def answer(self, template: str, frame: Frame, page: object, status: int = 200) -> Answer:
        """The same as an answer that nobody may keep, frame or run anything foreign in."""
        return Answer(status, HEADERS, self.html(template, frame, page).encode())
