"""One id_token: its parts read with bounds, its claims about itself checked, its signature verified.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices), OpenID Connect Core 2 and 3.1.3.7. Only what
is written here is believed of a header: `jwk`, `jku`, `x5u` and `x5c` name keys of the sender's choice and are refused.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from typing import Final

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from pierhead.adapters.oidc.keys import MODELS, SigningKey
from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import ManifestInvalid, shown
from pierhead.domain.strict_json import Document, decode

_TOKEN_CHARACTERS_MAX: Final = 16 * 1024
_HEADER_CHARACTERS_MAX: Final = 4 * 1024
_KEY_ID_CHARACTERS_MAX: Final = 256
_INSTANT_MAX: Final = 253_402_300_799  # the last second of the year 9999
_FOREIGN_KEYS: Final = ("jwk", "jku", "x5u", "x5c")


class NotAccepted(Exception):
    """``why`` goes on after "The id_token is not accepted: "; ``about`` is one word for it, of a few."""

    def __init__(self, why: str, about: str = "form") -> None:
        super().__init__(why)
        self.why = why
        self.about = about


class Token(Discreet, frozen=True):
    """What a token says of itself; nothing of it is proved before ``verify``."""

    algorithm: str
    key_id: str
    claims: Document
    signed: bytes
    signature: bytes

    @property
    def issuer(self) -> object:
        return self.claims.get("iss")


def read(text: str) -> Token:
    """Raises NotAccepted for what is no signed token of the one form that is taken here."""
    if len(text) > _TOKEN_CHARACTERS_MAX:
        raise NotAccepted(f"it is longer than {_TOKEN_CHARACTERS_MAX} characters")
    head, payload, signature = text.split(".")
    if len(head) > _HEADER_CHARACTERS_MAX:
        raise NotAccepted(f"its header is longer than {_HEADER_CHARACTERS_MAX} characters")
    header = _document(head, "header")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise NotAccepted("its header names no algorithm")
    if "crit" in header or "b64" in header:
        raise NotAccepted("its header asks for an extension that is not known here (`crit`)")
    foreign = [name for name in _FOREIGN_KEYS if name in header]
    if foreign:
        raise NotAccepted(f"its header brings a key of its own (`{foreign[0]}`), and only the issuer's keys count")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT" or "cty" in header:
        raise NotAccepted("it is another kind of token (`typ`)")
    if not isinstance(key_id, str) or not key_id or len(key_id) > _KEY_ID_CHARACTERS_MAX:
        raise NotAccepted("its header does not say by which key it is signed (`kid`)")
    return Token(
        algorithm, key_id, _document(payload, "content"), f"{head}.{payload}".encode("ascii"), _decoded(signature)
    )


def _document(part: str, what: str) -> Document:
    try:
        return decode(_decoded(part))
    except ManifestInvalid:
        raise NotAccepted(f"its {what} is no JSON object that can be read") from None


def _decoded(part: str) -> bytes:
    """Without padding, as RFC 7515 has it (section 2)."""
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise NotAccepted("it is not encoded as tokens are") from None


def check(token: Token, *, audiences: Collection[str], algorithms: Collection[str], now: float, leeway: float) -> float:
    """Whether it is meant for here and for now -> the seconds that it has left, 0 or less within the leeway.

    ``now`` is in seconds since 1970. Raises NotAccepted.
    """
    allowed = [name for algorithm in algorithms for name in MODELS[algorithm]]
    if token.algorithm not in allowed:
        raise NotAccepted(
            f"it is signed with `{shown(token.algorithm)[:20]}`, and only {', '.join(algorithms)} are taken", "alg"
        )
    _check_audience(token.claims, audiences)
    ends, issued = _instant(token.claims, "exp"), _instant(token.claims, "iat")
    begins = _instant(token.claims, "nbf") if "nbf" in token.claims else issued
    if ends + leeway <= now:
        raise NotAccepted(f"it ended {int(now - ends)} s ago (`exp`). Take the token of a job that runs", "exp")
    if begins - leeway > now:
        raise NotAccepted(f"it is not valid before {int(begins - now)} s from now (`nbf`). Compare the clocks", "nbf")
    if issued - leeway > now:
        raise NotAccepted(f"it was issued {int(issued - now)} s in the future (`iat`). Compare the clocks", "iat")
    return ends - now


def _check_audience(claims: Mapping[str, object], audiences: Collection[str]) -> None:
    said = claims.get("aud")
    several = said if isinstance(said, list) else [said]
    if not several or not all(isinstance(one, str) for one in several):
        raise NotAccepted("it does not say whom it is for (`aud`)", "aud")
    if not any(one in audiences for one in several):
        told = ", ".join(shown(str(one)) for one in several[:3])
        raise NotAccepted(
            f"it is for {told} (`aud`), and this is {' or '.join(audiences)}. Ask for an id_token with that audience",
            "aud",
        )


def _instant(claims: Mapping[str, object], name: str) -> int:
    """Whole seconds since 1970 (RFC 7519 would allow fractions; no issuer sends them)."""
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _INSTANT_MAX:
        raise NotAccepted(f"its `{name}` is {'missing' if found is None else 'no time in whole seconds'}", name)
    return found


def verify(token: Token, key: SigningKey) -> None:
    """Raises NotAccepted unless the signature is of this key, which was chosen for the token's algorithm."""
    model = JWSRegistry.algorithms[key.model]
    try:
        model.check_key(key.key)
        if model.verify(token.signed, token.signature, key.key):
            return
    except (JoseError, ValueError, TypeError):
        pass
    raise NotAccepted("its signature is not the issuer's", "signature")
