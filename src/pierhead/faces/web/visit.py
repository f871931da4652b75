"""One request of a page on its way to its verb, and what verbs answer with."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote

from msgspec import Struct, field

from pierhead.commits.account import By
from pierhead.domain import limits
from pierhead.domain.refusals import ForgedRequest, FormTooLarge, FormUnreadable, QueryInvalid
from pierhead.faces.door.ask import Answer, Ask, TooLarge
from pierhead.faces.door.brake import Brake
from pierhead.faces.door.connectors import address_of
from pierhead.faces.door.cookies import cookie_name, cookie_of, set_cookie
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import RequestIds
from pierhead.faces.door.origin import require_same_origin
from pierhead.faces.door.visitors import Visitor, Visitors, decoded, encoded, form_token
from pierhead.faces.web.render import Frame, Renderer
from pierhead.ports.clock import Clock, Entropy
from pierhead.ports.identity import SignOn
from pierhead.ports.metadata.store import Store
from pierhead.repositories.directory import Desk

THEME_COOKIE: Final = "pierhead-theme"
THEMES: Final = ("light", "dark")
TOKEN_FIELD: Final = "token"
_VISIT_COOKIE: Final = "pierhead-visit"
_PARAMETERS_MAX: Final = 32
_FORM: Final = "application/x-www-form-urlencoded"


class Guide(Struct, frozen=True):
    """``addresses`` are (what for, host:port); ``commands`` are lines to copy; ``url`` is the main port's."""

    version: str
    url: str
    addresses: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]


class Provider(Struct, frozen=True):
    """Single sign-on as pages offer it: ``button`` is its text, ``name`` what sentences call the provider."""

    name: str
    button: str
    issuer: str
    roles: Mapping[str, tuple[str, ...]]
    sign_on: SignOn


class Site(Struct, frozen=True):
    """What pages tell of the house; replaced with the configuration."""

    guide: Guide
    external_url: str
    host: str
    provider: Provider | None = None


class Workshop(Struct, frozen=True):
    """What verbs work with; ``codes`` slows down who tries codes of command lines."""

    store: Store
    guard: Guard
    visitors: Visitors
    desk: Desk
    clock: Clock
    entropy: Entropy
    renderer: Renderer
    ids: RequestIds
    codes: Brake


class Visit(Struct):
    """``values`` are what the path gave by the names in the route's braces; ``form`` is empty unless one was sent."""

    ask: Ask
    site: Site
    shop: Workshop
    visitor: Visitor | None
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    _cookies: list[tuple[str, str]] = field(default_factory=list)
    _visit: bytes | None = None

    @property
    def secure(self) -> bool:
        """Whether people come over TLS."""
        return self.shop.visitors.rules.secure

    @property
    def guest(self) -> Visitor:
        """Who is signed in, on pages that need it."""
        assert self.visitor is not None, "the route says that it needs a session"
        return self.visitor

    def circumstances(self) -> Mapping[str, object]:
        """What an event tells of the request."""
        return {"address": self.address, "agent": self.agent}

    def by(self) -> By:
        """The same, with who does it."""
        return By(self.guest.who.name, self.circumstances())

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return address_of(self.ask)

    @property
    def agent(self) -> str:
        """What the browser calls itself, cut."""
        return (self.ask.get("User-Agent") or "")[: limits.SESSION_AGENT_CHARACTERS_MAX]

    # --- forms -------------------------------------------------------------------------------------------------------

    def visit_secret(self) -> bytes | None:
        """What a browser without a session was given, to tie its sign-in to it."""
        if self._visit is not None:
            return self._visit
        return decoded(cookie_of(self.ask, cookie_name(_VISIT_COOKIE, self.secure)))

    def ensure_visit(self) -> bytes:
        """The same, made and set if there is none."""
        secret = self.visit_secret()
        if secret is None:
            secret = self._visit = self.shop.entropy.token(32)
            self.set_cookie(_VISIT_COOKIE, encoded(secret))
        return secret

    def end_visit(self) -> None:
        """A sign-in was made: the next one begins with another secret."""
        self.set_cookie(_VISIT_COOKIE, "", 0)

    def token(self) -> str:
        """For the forms of this page; empty where nobody is signed in and no sign-in is offered."""
        if self.visitor is not None:
            return self.visitor.token
        secret = self.visit_secret()
        return "" if secret is None else form_token(secret)

    async def read_form(self) -> None:
        """Takes the form of a POST in. Raises ForgedRequest, FormTooLarge, FormUnreadable."""
        require_same_origin(self.ask, self.site.external_url)
        self.form = await form_of(self.ask)
        expected = self.token()
        given = self.form.get(TOKEN_FIELD, "")
        if not expected:
            raise ForgedRequest("your browser sent no cookie, and without one nobody can be signed in")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise ForgedRequest("the form belongs to another session, or to one that has ended")

    # --- answers -----------------------------------------------------------------------------------------------------

    def set_cookie(self, name: str, value: str, seconds: int | None = None) -> None:
        """With whatever is answered."""
        self._cookies.append(set_cookie(name, value, self.secure, seconds))

    def set_header(self, header: tuple[str, str]) -> None:
        """A cookie that somebody else made."""
        self._cookies.append(header)

    def page(
        self, template: str, title: str, page: object, status: int = 200, *, notice: str = "", twin: str = ""
    ) -> Answer:
        """``title`` without what all have in common; ``notice`` is a line on top that says what was done."""
        theme = cookie_of(self.ask, cookie_name(THEME_COOKIE, self.secure)) or ""
        frame = Frame(
            title=title,
            person="" if self.visitor is None else self.visitor.who.name,
            token=self.token(),
            theme=theme if theme in THEMES else "",
            host=self.site.host,
            version=self.site.guide.version,
            now=self.shop.clock.now(),
            here=self.ask.target,
            request_id=self.shop.ids.of(self.ask),
            twin=twin,
            notice=notice,
        )
        return self.dressed(self.shop.renderer.answer(template, frame, page, status))

    def redirect(self, path: str) -> Answer:
        """303: with GET, whatever this was. ``path`` is one of our own, or an address that a provider gave."""
        return self.dressed(Answer(303, (("Location", path), ("Cache-Control", "no-store"))))

    def dressed(self, answer: Answer) -> Answer:
        """With the cookies that were set."""
        answer.headers = (*_pairs(answer), *self._cookies)
        return answer

    def sign_in_address(self) -> str:
        """Of the sign-in page, which leads back here."""
        here = self.ask.target + (f"?{self.ask.query}" if self.ask.query else "")
        return f"/-/sign-in?redirect={quote(here, safe='/')}"


def _pairs(answer: Answer) -> tuple[tuple[str, str], ...]:
    headers = answer.headers
    return tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)


async def form_of(ask: Ask) -> Mapping[str, str]:
    """The fields of a form in the only encoding that pages here use. Raises FormTooLarge, FormUnreadable."""
    try:
        body = await ask.body(limits.FORM_BYTES_MAX)
    except TooLarge as error:
        raise FormTooLarge(limits.FORM_BYTES_MAX) from error
    if (ask.get("Content-Type") or "").partition(";")[0].strip().lower() != _FORM:
        raise FormUnreadable(f"it is not sent as {_FORM}")
    if body.count(b"&") >= limits.FORM_FIELDS_MAX:
        raise FormTooLarge(limits.FORM_BYTES_MAX)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise FormUnreadable("it is not UTF-8 text") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise FormUnreadable("a field is there twice")
        if "\0" in value:
            raise FormUnreadable("a field holds a zero byte")
        found[name] = value
    return found


def query_of(ask: Ask) -> Mapping[str, str]:
    """The query; pages do not mind what they do not know. Raises QueryInvalid for what cannot be read."""
    try:
        pairs = parse_qsl(ask.query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict")
    except ValueError as error:
        raise QueryInvalid("query", f"it has more than {_PARAMETERS_MAX} parameters, or is not UTF-8") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
