"""What a 401 asks for: a bearer token with the scope that the request needs.

Basic is taken too, but not asked for: Docker answers all the challenges that it knows, and gives up when Basic stands
beside Bearer and it has no password, as without a login or with a refresh token. Parameters are as in distribution's
"Token Authentication Specification" and RFC 6750, section 3.
"""

from __future__ import annotations

from typing import Final

from pierhead.domain import limits
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import Denied, NameInvalid, NotAuthenticated, Refusal, RouteUnknown, ScopeMissing
from pierhead.domain.scopes import CATALOG
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.realm import Realm
from pierhead.faces.v2.route import Kind, parse

_PUSHES: Final = (Kind.UPLOADS, Kind.UPLOAD)
_INSUFFICIENT: Final = "insufficient_scope"


class Challenger:
    """``service`` is the name under which this installation makes tokens."""

    def __init__(self, realm: Realm, service: str) -> None:
        self._realm = realm
        self._service = service

    def addressed(self, ask: Ask, refusal: Refusal) -> Refusal:
        """See ``Realm.addressed``."""
        return self._realm.addressed(ask, refusal)

    def headers(self, ask: Ask, refusal: Refusal, by_token: bool) -> list[tuple[str, str]]:
        """The challenges that go with a refusal, none for most. ``by_token``: the request came with a bearer token."""
        match refusal:
            case NotAuthenticated():
                return [self._bearer(ask, "invalid_token" if refusal.bad_token else "")]
            case ScopeMissing():
                return [self._bearer(ask, _INSUFFICIENT)]
            case Denied() if by_token:
                return [self._bearer(ask, _INSUFFICIENT)]
        return []

    def _bearer(self, ask: Ask, error: str) -> tuple[str, str]:
        parts = [f'realm="{self._realm.of(ask)}"', f'service="{self._service}"']
        if scope := scope_of(ask.method, ask.target):
            parts.append(f'scope="{scope}"')
        if error:
            parts.append(f'error="{error}"')
        return "WWW-Authenticate", f"Bearer {','.join(parts)}"


def scope_of(method: str, target: str) -> str:
    """What a request needs, with the image called as its path does; empty for what needs none."""
    if len(target) > limits.NAME_CHARACTERS_MAX * 3:
        return ""
    try:
        route = parse(target)
        if route.kind is Kind.CATALOG:
            return CATALOG
        if route.kind is Kind.PING:
            return ""
        name = ImageName.parse(route.name)
    except (NameInvalid, RouteUnknown):
        return ""
    if route.kind in _PUSHES or method in ("POST", "PUT", "PATCH"):
        return f"repository:{name}:pull,push"
    return f"repository:{name}:{'delete' if method == 'DELETE' else 'pull'}"
