"""Single sign-on at one OpenID provider: discovery, the code flow with PKCE, and what the provider says of a person.

OpenID Connect Core 1.0 (3.1), Discovery 1.0, RP-Initiated Logout 1.0; RFC 7636 (PKCE, S256 only); RFC 9700.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from pierhead.adapters.oidc import fetch
from pierhead.adapters.oidc.asking import Refused, ask
from pierhead.adapters.oidc.ring import KeyRing, Pace, Unreachable
from pierhead.adapters.oidc.token import NotAccepted, Token, check, read, verify
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import SignOnRefused, Unavailable, shown
from pierhead.domain.strict_json import Document
from pierhead.ports.clock import Clock
from pierhead.ports.identity import SignedOn

_log = logging.getLogger(__name__)
_DISCOVERY: Final = "/.well-known/openid-configuration"
_FRESH_SECONDS: Final = 3600.0
_AGAIN_SECONDS: Final = 5.0
_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
_LEEWAY_SECONDS: Final = 60.0
_GROUPS_MAX: Final = 1_000
_TOKEN_PARTS: Final = 3


class Client(Discreet, frozen=True):
    """What the configuration says; ``name`` is the provider's for sentences; without ``secret`` it is public."""

    issuer: str
    client_id: str
    name: str
    scopes: tuple[str, ...]
    name_claim: str
    groups_claim: str
    secret: str | None = None
    ca: Path | None = None


class Endpoints(Struct, frozen=True):
    """Where the provider is asked, as it says itself; empty strings for what it does not offer."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    end_session: str
    posts_secret: bool


class OidcSignOn:
    """Implements ``ports.identity.SignOn``. The provider is asked when somebody wants to sign in, and not before."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._endpoints: Endpoints | None = None
        self._had = 0.0
        self._failed: float | None = None
        self._asking = asyncio.Lock()
        self._ring = KeyRing(client.name, self._keys, clock, Pace(_FRESH_SECONDS))

    async def close(self) -> None:
        """Gives up a question that is under way."""
        await self._ring.aclose()

    async def begin(self, callback: str, state: str, nonce: str, verifier: str) -> str:
        """See the port."""
        endpoints = await self._discover()
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self._client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return _with(endpoints.authorization, query)

    async def finish(self, callback: str, code: str, nonce: str, verifier: str) -> SignedOn:
        """See the port."""
        endpoints = await self._discover()
        try:
            answer = await self._redeem(endpoints, callback, code, verifier)
        except Refused as no:
            raise SignOnRefused(f"{self._client.name} does not redeem the code ({shown(no.code)[:64]})") from None
        except Unreachable as why:
            raise self._down(str(why)) from None
        claims = await self._claims(answer, nonce)
        return await self._person(endpoints, claims, answer)

    async def farewell(self, back: str) -> str:
        """See the port."""
        endpoints = await self._discover()
        if not endpoints.end_session:
            return ""
        query = {"client_id": self._client.client_id, "post_logout_redirect_uri": back}
        return _with(endpoints.end_session, query)

    # --- the provider ------------------------------------------------------------------------------------------------

    async def _discover(self) -> Endpoints:
        """Remembered for an hour, and through outages. Raises Unavailable."""
        async with self._asking:
            now = self._clock.monotonic()
            if self._endpoints is not None and now < self._had + _FRESH_SECONDS:
                return self._endpoints
            if self._failed is not None and now < self._failed + _AGAIN_SECONDS and self._endpoints is None:
                raise self._silent()
            address = self._client.issuer.rstrip("/") + _DISCOVERY
            try:
                self._endpoints = _endpoints(await ask(address, self._client.ca), self._client, address)
                self._had = now
                self._failed = None
            except (Unreachable, Refused) as why:
                said = str(why) if isinstance(why, Unreachable) else f"{address} refuses to answer"
                self._failed = now
                if self._endpoints is None:
                    raise self._down(said) from None
            return self._endpoints

    async def _keys(self) -> bytes:
        endpoints = self._endpoints
        if endpoints is None:
            raise Unreachable(f"{self._client.issuer} was not asked yet")
        return await fetch.of_address(endpoints.keys, self._client.ca)()

    def _down(self, why: str) -> Unavailable:
        """Whoever is not signed in is told that, and the log why."""
        _log.warning("Single sign-on at %s: %s.", self._client.name, why)
        return self._silent()

    def _silent(self) -> Unavailable:
        return Unavailable(f"{self._client.name} does not answer as it should. The server's log says why.")

    # --- one person --------------------------------------------------------------------------------------------------

    async def _redeem(self, endpoints: Endpoints, callback: str, code: str, verifier: str) -> Document:
        """Raises Refused, Unreachable."""
        client = self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback,
            "code_verifier": verifier,
        }
        if client.secret is None or endpoints.posts_secret:
            form["client_id"] = client.client_id
        if client.secret is not None and endpoints.posts_secret:
            form["client_secret"] = client.secret
        # RFC 6749, 2.3.1: each is encoded as in a form before it goes into the header.
        basic = None
        if client.secret is not None and not endpoints.posts_secret:
            basic = (quote(client.client_id, safe=""), quote(client.secret, safe=""))
        return await ask(endpoints.token, client.ca, form=form, basic=basic)

    async def _claims(self, answer: Mapping[str, object], nonce: str) -> Document:
        """Raises SignOnRefused, Unavailable."""
        text = answer.get("id_token")
        if not isinstance(text, str) or text.count(".") != _TOKEN_PARTS - 1:
            raise SignOnRefused(f"{self._client.name} sent no id_token")
        try:
            token = read(text)
            self._check(token, nonce)
            key = await self._ring.key(token.key_id, token.algorithm)
            if key is None:
                raise NotAccepted("it is signed by a key that the provider does not publish")
            verify(token, key)
        except NotAccepted as fault:
            raise SignOnRefused(f"the id_token of {self._client.name} is not accepted: {fault.why}") from None
        return token.claims

    def _check(self, token: Token, nonce: str) -> None:
        """Raises NotAccepted. OpenID Connect Core 1.0, 3.1.3.7."""
        if token.issuer != self._client.issuer:
            raise NotAccepted(f"its issuer is {shown(str(token.issuer))} (`iss`)")
        now = self._clock.now() / 1_000_000
        check(token, audiences=(self._client.client_id,), algorithms=_ALGORITHMS, now=now, leeway=_LEEWAY_SECONDS)
        audience, party = token.claims.get("aud"), token.claims.get("azp")
        if (
            (isinstance(audience, list) and len(audience) > 1) or party is not None
        ) and party != self._client.client_id:
            raise NotAccepted("it was issued for another client (`azp`)")
        said = token.claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise NotAccepted("it belongs to another sign-on (`nonce`)")

    async def _person(self, endpoints: Endpoints, claims: Document, answer: Mapping[str, object]) -> SignedOn:
        """What the id_token leaves out is asked for. Raises SignOnRefused, Unavailable."""
        client = self._client
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise SignOnRefused(f"{client.name} does not say who somebody is (`sub`)")
        told = dict(claims)
        access = answer.get("access_token")
        missing = client.name_claim not in told or client.groups_claim not in told
        if missing and endpoints.userinfo and isinstance(access, str):
            try:
                more = await ask(endpoints.userinfo, client.ca, bearer=access)
            except Refused:
                more = {}
            except Unreachable as why:
                raise self._down(str(why)) from None
            if more and more.get("sub") != subject:
                raise SignOnRefused(f"{client.name} told of somebody else when it was asked (`sub`)")
            told = {**more, **told}
        name, groups = told.get(client.name_claim), told.get(client.groups_claim)
        if not isinstance(name, str) or not name:
            raise SignOnRefused(f"{client.name} gives no name (`{client.name_claim}`). Ask for a scope that has it")
        listed = [groups] if isinstance(groups, str) else [] if groups is None else groups
        if not isinstance(listed, list) or len(listed) > _GROUPS_MAX:
            raise SignOnRefused(f"{client.name} gives no list of groups that can be read (`{client.groups_claim}`)")
        return SignedOn(subject, name, tuple(one for one in listed if isinstance(one, str)))


def _endpoints(document: Mapping[str, object], client: Client, address: str) -> Endpoints:
    """Raises Unreachable for a document of another issuer, or one that lacks what has to be there."""
    if document.get("issuer") != client.issuer:
        said = shown(str(document.get("issuer")))
        raise Unreachable(f"{address} is of another issuer, {said}. Write `issuer` exactly so if that is meant")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    posts = isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
    return Endpoints(
        authorization=_address(document, "authorization_endpoint", client, address),
        token=_address(document, "token_endpoint", client, address),
        keys=_address(document, "jwks_uri", client, address),
        userinfo=_address(document, "userinfo_endpoint", client, address, needed=False),
        end_session=_address(document, "end_session_endpoint", client, address, needed=False),
        posts_secret=posts,
    )


def _address(document: Mapping[str, object], key: str, client: Client, address: str, *, needed: bool = True) -> str:
    """Another host may do for some (Entra's user information is elsewhere), another scheme never."""
    found = document.get(key)
    if not isinstance(found, str) or not found:
        if needed:
            raise Unreachable(f"{address} names no `{key}`")
        return ""
    scheme = urlsplit(client.issuer).scheme
    if not found.isprintable() or urlsplit(found).scheme not in ("https", scheme):
        raise Unreachable(f"{address} names a `{key}` that is no {scheme} address")
    return found


def _with(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query, quote_via=quote)}"
