"""Tokens as JSON web tokens (RFC 7519), signed with Ed25519, made and accepted by this installation alone.

The first part of a token has to be, byte for byte, what one of our own keys puts there: nothing in a header is ever
parsed, followed or chosen from. So there is no other algorithm, no ``jwk``, ``jku`` or ``x5u``, no ``crit``, and no
header that is too deep; a ``kid`` is looked up in a dictionary and opens no file.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pierhead.adapters.keys.jwt.keys import Keys, header_of
from pierhead.domain import limits
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import Unavailable
from pierhead.domain.scopes import ACTIONS, Access, Packed, pack, unpack
from pierhead.ports.clock import Clock
from pierhead.ports.tokens import Bad, Claims

_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
_SECOND: Final = 1_000_000
_LIFE_MAX: Final = limits.TOKEN_SECONDS_MAX + limits.TOKEN_BACKDATED_SECONDS
_FOREIGN: Final = Bad("The token was not made here, or its key is no longer in use. Log in again.")
_ENDED: Final = Bad("The token has ended. Ask for another one.")


class _Access(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    type: str
    name: str
    actions: list[str]
    id: int = 0


class _Payload(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """RFC 7519, section 4.1; ``access`` as distribution's "Token Authentication Implementation" has it. A claim that
    this version does not know may narrow the token down, so none is passed over."""

    iss: str
    aud: str
    sub: str
    iat: _Seconds
    nbf: _Seconds
    exp: _Seconds
    jti: str
    access: list[_Access]
    rules: Packed | None = None
    limit: Packed | None = None
    through: dict[str, object] | None = None
    made: int = 0


class JwtTokens:
    """Implements ``ports.tokens.Tokens``."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._decode = msgspec.json.Decoder(_Payload).decode
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self.service = f"pierhead-{keys.installation}"

    def sign(self, claims: Claims) -> str:
        """See the port. Raises Unavailable."""
        access = [_Access("repository", f"{one.repository}/{one.image}", one.actions, one.row) for one in claims.access]
        if claims.catalog:
            access.append(_Access("registry", "catalog", ["*"]))
        payload = _Payload(
            self.service,
            self.service,
            claims.subject,
            claims.issued,
            claims.starts,
            claims.ends,
            claims.id,
            access,
            None if claims.rules is None else pack(claims.rules),
            None if claims.limit is None else pack(claims.limit),
            dict(claims.through) or None,
            claims.made,
        )
        try:
            key = self._keys.signing()
        except OSError as error:
            why = error.strerror or "unknown error"
            raise Unavailable(
                f"There is no key to sign tokens with: the folder keys cannot be used ({why})."
            ) from error
        from pierhead.adapters.keys.jwt.signatures import sign

        return sign(header_of(key.kid), self._encode(payload), key.pair)

    def verify(self, token: str) -> Claims | Bad:
        """See the port."""
        if len(token) > limits.TOKEN_BYTES_MAX or token.count(".") != 2 or not token.isascii():
            return _FOREIGN
        key = self._keys.find(token.partition(".")[0])
        if key is None:
            return _FOREIGN
        from pierhead.adapters.keys.jwt.signatures import payload_of

        try:
            payload = self._decode(payload_of(token, key.pair))
            claims = _claims(payload)
        except (ValueError, TypeError, LookupError):
            return _FOREIGN
        if payload.iss != self.service or payload.aud != self.service:
            return _FOREIGN
        now = self._clock.now() // _SECOND
        if claims.ends - claims.issued > _LIFE_MAX or claims.starts > now:
            return _FOREIGN
        return claims if now < claims.ends else _ENDED


def _claims(payload: _Payload) -> Claims:
    """Raises ValueError, KeyError for what ``sign`` never made."""
    access: list[Access] = []
    catalog = False
    for one in payload.access:
        if one.type == "registry":
            catalog = True
            continue
        repository, _, image = one.name.partition("/")
        rights = frozenset(ACTIONS[word] for word in one.actions)
        access.append(Access(RepositoryName(repository), ImageName(image), rights, one.id))
    return Claims(
        payload.sub,
        payload.iat,
        payload.nbf,
        payload.exp,
        payload.jti,
        tuple(access),
        catalog,
        None if payload.rules is None else unpack(payload.rules),
        None if payload.limit is None else unpack(payload.limit),
        payload.through or {},
        payload.made,
    )
