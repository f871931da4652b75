"""Single sign-on: off to the provider, and back with what it vouches for.

Nothing is kept here while somebody is away. The browser holds a secret in a cookie; ``state``, ``nonce`` and the PKCE
verifier are made from it and from a random number that travels in ``state``, so an answer that began in another browser
fits none of them (OpenID Connect Core 1.0, 3.1.2.1; RFC 7636; RFC 9700, 4.7). The random number opens one session only.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from msgspec import Struct

from pierhead.commits.account import By
from pierhead.commits.sign_on import take_in_person
from pierhead.domain import limits
from pierhead.domain.refusals import RouteUnknown, SignOnRefused, Unavailable
from pierhead.faces.door.ask import Answer
from pierhead.faces.door.origin import own_path
from pierhead.faces.web.pages.sign_in import HOME, begin_session, sign_in_page
from pierhead.faces.web.visit import Provider, Visit
from pierhead.ports.identity import SignedOn
from pierhead.repositories.directory import Origin

CALLBACK: Final = "/-/sign-in/callback"
_MARK_BYTES: Final = 16
_TIME_BYTES: Final = 8
_STATE_CHARACTERS_MAX: Final = 4 * limits.OWN_PATH_CHARACTERS_MAX
_CODE_CHARACTERS_MAX: Final = 4_096


class Errand(Struct, frozen=True):
    """One sign-on on its way: ``mark`` is its random number, ``began`` when, ``redirect`` where it leads in the end."""

    mark: bytes
    began: int
    redirect: str

    def state(self, secret: bytes) -> str:
        """What travels with the browser, readable to all and made by nobody without the cookie."""
        body = self.mark + self.began.to_bytes(_TIME_BYTES) + self.redirect.encode()
        return f"{_text(body)}.{_text(_keyed(secret, b'state', body))}"

    def nonce(self, secret: bytes) -> str:
        """Comes back in the id_token."""
        return _text(_keyed(secret, b"nonce", self.mark))

    def verifier(self, secret: bytes) -> str:
        """43 characters, as RFC 7636 wants; its hash goes out first, it itself with the code."""
        return _text(_keyed(secret, b"verifier", self.mark))


def errand_of(state: str, secret: bytes | None, now: int) -> Errand:
    """The errand that ``state`` tells of. Raises SignOnRefused unless it began in this browser, a while ago at most."""
    if secret is None:
        raise SignOnRefused("it did not begin in this browser, or the browser keeps no cookies")
    text, _, seal = state.partition(".")
    try:
        body = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(state) <= _STATE_CHARACTERS_MAX else b""
    except (ValueError, binascii.Error):
        body = b""
    if not hmac.compare_digest(_text(_keyed(secret, b"state", body)).encode(), seal.encode()):
        raise SignOnRefused("it did not begin in this browser")
    head = _MARK_BYTES + _TIME_BYTES
    errand = Errand(body[:_MARK_BYTES], int.from_bytes(body[_MARK_BYTES:head]), body[head:].decode())
    if not errand.began <= now <= errand.began + limits.SIGN_ON_SECONDS_MAX * 1_000_000:
        raise SignOnRefused(f"it took longer than {limits.SIGN_ON_SECONDS_MAX // 60} minutes")
    return errand


async def begin(visit: Visit) -> Answer:
    """Sends the browser to the provider; where that does not answer, the sign-in page says what goes on."""
    provider = _provider(visit)
    redirect = own_path(visit.query.get("redirect") or HOME)
    secret = visit.ensure_visit()
    errand = Errand(visit.shop.entropy.token(_MARK_BYTES), visit.shop.clock.now(), redirect)
    callback = visit.site.external_url + CALLBACK
    try:
        there = await provider.sign_on.begin(
            callback, errand.state(secret), errand.nonce(secret), errand.verifier(secret)
        )
    except Unavailable as failure:
        visit.ask.note["unavailable"] = failure.message
        return await sign_in_page(visit, redirect, trouble=failure.message, status=503)
    return visit.redirect(there)


async def finish(visit: Visit) -> Answer:
    """The provider sent the browser back. Raises SignOnRefused, Unavailable."""
    provider = _provider(visit)
    secret = visit.visit_secret()
    errand = errand_of(visit.query.get("state", ""), secret, visit.shop.clock.now())
    assert secret is not None
    if "error" in visit.query:
        raise SignOnRefused(f"{provider.name} says no ({_safe(visit.query['error'])})")
    code = visit.query.get("code", "")
    if not 1 <= len(code) <= _CODE_CHARACTERS_MAX:
        raise SignOnRefused(f"{provider.name} sent no code")
    person = await provider.sign_on.finish(
        visit.site.external_url + CALLBACK, code, errand.nonce(secret), errand.verifier(secret)
    )
    account = await take_in(visit, provider, person)
    visit.ask.note["account"] = account
    await begin_session(visit, account, provider.name, errand.mark)
    return visit.redirect(own_path(errand.redirect))


async def take_in(visit: Visit, provider: Provider, person: SignedOn) -> str:
    """The account of somebody whom the provider vouches for, with the roles that their groups give now. Raises
    SignOnRefused if their name is no account's, or is that of an account which they have no part in."""
    desk = visit.shop.desk
    await desk.directory.fresh()
    there = desk.directory.account(person.name)
    if there is not None and there.origin is not Origin.REST:
        raise SignOnRefused(f"{person.name} is the name of another account here, which {provider.name} has no say in")
    roles = tuple(sorted({role for group in person.groups for role in provider.roles.get(group, ())}))
    by = By(person.name, visit.circumstances())
    account = await visit.shop.store.write(
        lambda tx: take_in_person(tx, provider.issuer, person.subject, person.name, roles, by)
    )
    await desk.directory.fresh()
    return account


def _provider(visit: Visit) -> Provider:
    if visit.site.provider is None:
        raise RouteUnknown("No single sign-on is set up here (`sign_in.oidc` in the config file).")
    return visit.site.provider


def _keyed(secret: bytes, what: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, what + b"\0" + body, hashlib.sha256)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _safe(error: str) -> str:
    """An error code of the provider's (RFC 6749, 4.1.2.1: printable ASCII), which came by way of the browser."""
    return "".join(one for one in error[:64] if one.isascii() and (one.isalnum() or one in "_-. ")) or "no reason"
