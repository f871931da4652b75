"""The token endpoint, on every port: GET as distribution's "Token Authentication Specification" has it, and POST as
its "OAuth2 Token Authentication" does.

``service`` and ``client_id`` are not looked at: whatever a client says there, a token is for this installation and no
other, so a wrong one gains nothing, and some clients leave them out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

from pierhead.actions.issue_token import Issued, Issuer, issue_token
from pierhead.actions.refresh_token import Keeping, make_refresh_token, redeem_refresh_token
from pierhead.domain import limits
from pierhead.domain.access import ANONYMOUS, Principal
from pierhead.domain.refusals import (
    MethodUnsupported,
    NotAuthenticated,
    QueryInvalid,
    Refusal,
    TooManyLogins,
    Unavailable,
)
from pierhead.domain.scopes import parse_scopes
from pierhead.faces.door.ask import Answer, Ask, TooLarge
from pierhead.faces.door.connectors import Connector
from pierhead.faces.door.guard import Guard
from pierhead.faces.door.ids import HEADER, RequestIds
from pierhead.faces.door.realm import Realm
from pierhead.faces.door.wire_json import encode

METHODS: Final = ("GET", "POST")
_REFRESH: Final = "refresh_token"
_PARAMETERS_MAX: Final = 64
_COMMON: Final = (
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_BASIC: Final = ("WWW-Authenticate", 'Basic realm="Pierhead"')


class GrantUnknown(Exception):
    """A ``grant_type`` that is not served (RFC 6749, section 5.2)."""


class Asked(Struct, frozen=True):
    """The parameters of a request, in their order; ``form`` if they came in its body."""

    pairs: list[tuple[str, str]]
    form: bool

    def get(self, name: str) -> str:
        """The first of this name, empty if there is none."""
        return next((value for key, value in self.pairs if key == name), "")

    @property
    def wants_to_stay(self) -> bool:
        """Whether a refresh token is asked for."""
        return self.get("offline_token").lower() in ("true", "1") or self.get("access_type") == "offline"

    @property
    def scopes(self) -> list[str]:
        """Each ``scope`` that was given; one may hold several."""
        return [value for key, value in self.pairs if key == "scope"]


class TokenEndpoint:
    """A handler for the door. ``issuer`` tells what tokens are made of now, ``keeping`` where refresh tokens are,
    ``realm`` what a port is called."""

    def __init__(
        self,
        guard: Guard,
        issuer: Callable[[], Issuer],
        keeping: Callable[[], Keeping],
        realm: Callable[[], Realm],
        ids: RequestIds,
    ) -> None:
        self._guard = guard
        self._issuer = issuer
        self._keeping = keeping
        self._realm = realm
        self._ids = ids

    async def __call__(self, ask: Ask) -> Answer:
        """Never raises a refusal: each becomes its answer."""
        ask.note["route"] = "token"
        try:
            answer = await self._answer(ask)
        except Refusal as refusal:
            ask.note["refused"] = type(refusal).__name__
            answer = refused(self._realm().addressed(ask, refusal), form=ask.method == "POST")
        except GrantUnknown as error:
            ask.note["refused"] = type(error).__name__
            answer = _form_error("unsupported_grant_type", str(error))
        except Unavailable as failure:
            ask.note["unavailable"] = failure.message
            answer = _later(failure)
        answer.headers = [*answer.headers, (HEADER, self._ids.of(ask))]
        return answer

    async def _answer(self, ask: Ask) -> Answer:
        if ask.method not in METHODS:
            raise MethodUnsupported(ask.method, METHODS)
        asked = Asked(_pairs(ask.query), form=False) if ask.method == "GET" else await _form(ask)
        who = await (self._by_form(ask, asked) if asked.form else self._by_header(ask))
        ask.note["account"] = who.name
        connector = ask.port
        assert isinstance(connector, Connector)
        issued = issue_token(self._issuer(), who, connector.repository, parse_scopes(asked.scopes))
        refresh = None
        if asked.wants_to_stay and asked.get("grant_type") != _REFRESH:
            refresh = await make_refresh_token(self._keeping(), who, asked.get("client_id"))
        return Answer(200, _COMMON, _body(issued, refresh))

    async def _by_header(self, ask: Ask) -> Principal:
        """Who sent Basic, or whoever comes without an account where that is allowed."""
        if ask.get("Authorization") is not None:
            return await self._guard.principal(ask)
        anonymous = self._issuer().accounts.principal(ANONYMOUS)
        if anonymous is None:
            raise NotAuthenticated
        return anonymous

    async def _by_form(self, ask: Ask, asked: Asked) -> Principal:
        grant = asked.get("grant_type")
        if grant == "password":
            return await self._guard.login(ask, asked.get("username"), asked.get("password"))
        if grant == _REFRESH and self._keeping().on:
            taken_back = self._guard.count_failure(ask, _REFRESH)
            who = await self._redeemed(asked.get("refresh_token"))
            if who is None:
                raise NotAuthenticated("The refresh token does not hold any more: log in again.")
            taken_back()
            return who
        known = f"password and {_REFRESH}" if self._keeping().on else "password"
        raise GrantUnknown(f"What is taken as grant_type: {known}.")

    async def _redeemed(self, token: str) -> Principal | None:
        try:
            return await redeem_refresh_token(self._keeping(), token)
        except TimeoutError as error:  # not the client's, which would be told 408
            raise Unavailable("The database does not answer in time.", kind="slow") from error


def refused(refusal: Refusal, *, form: bool) -> Answer:
    """In the words of the distribution API for GET; for a form in those of RFC 6749, section 5.2, with the others
    beside them, since Docker shows only those."""
    match refusal:
        case NotAuthenticated() if form:
            return _form_error("invalid_grant", refusal.message)
        case NotAuthenticated():
            return Answer(401, [*_COMMON, _BASIC], _errors("UNAUTHORIZED", refusal))
        case TooManyLogins():
            retry = ("Retry-After", str(refusal.retry_after))
            return Answer(429, [*_COMMON, retry], _errors("TOOMANYREQUESTS", refusal))
        case MethodUnsupported():
            return Answer(405, [*_COMMON, ("Allow", ", ".join(METHODS))], _errors("UNSUPPORTED", refusal))
        case QueryInvalid() if form:
            return _form_error("invalid_request", refusal.message)
        case QueryInvalid():
            return Answer(400, _COMMON, _errors("UNSUPPORTED", refusal))
    # Who it is was shown, and what they are refused is said: Denied, and what sources of identity refuse.
    return Answer(403, _COMMON, _errors("DENIED", refusal))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Raises QueryInvalid if there is too much of it or it is no text."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict")
    except ValueError as error:
        raise QueryInvalid("query", f"it has more than {_PARAMETERS_MAX} parameters, or is not UTF-8") from error


async def _form(ask: Ask) -> Asked:
    """Whatever type the body claims to have: it is a form or it is refused. Raises QueryInvalid."""
    try:
        body = await ask.body(limits.TOKEN_FORM_BYTES_MAX)
        return Asked(_pairs(body.decode("ascii")), form=True)
    except (TooLarge, UnicodeDecodeError) as error:
        most = limits.TOKEN_FORM_BYTES_MAX
        raise QueryInvalid("body", f"a form has at most {most} bytes, all of them ASCII") from error


def _body(issued: Issued, refresh: str | None) -> bytes:
    """Docker and Renovate read ``token``, those who POST ``access_token``."""
    at = datetime.fromtimestamp(issued.issued, UTC).isoformat().replace("+00:00", "Z")
    kept = {} if refresh is None else {"refresh_token": refresh}
    return encode(
        {
            "token": issued.token,
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.seconds,
            "issued_at": at,
            "scope": issued.scope,
            **kept,
        }
    )


def _later(failure: Unavailable) -> Answer:
    return Answer(503, [*_COMMON, ("Retry-After", str(failure.retry_after))], _errors("UNAVAILABLE", failure))


def _errors(code: str, why: Refusal | Unavailable) -> bytes:
    return encode({"errors": [{"code": code, "message": why.message, "detail": {}}]})


def _form_error(error: str, sentence: str) -> Answer:
    code = "UNAUTHORIZED" if error == "invalid_grant" else "UNSUPPORTED"
    errors = [{"code": code, "message": sentence, "detail": {}}]
    return Answer(400, _COMMON, encode({"error": error, "error_description": sentence, "errors": errors}))
