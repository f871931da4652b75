"""Signing and checking, with the libraries for it, which are imported when the first token comes: a process that
nobody asks for tokens does without their ten megabytes, and starts sooner."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from pierhead.domain.discreet import Discreet

ALGORITHM = "Ed25519"
"""RFC 9864; what RFC 8037 called EdDSA."""


class Pair(Discreet, frozen=True):
    """Both halves of a key."""

    private: OKPKey
    public: OKPKey


def pair_of(header: dict[str, object], head: str, x: str, d: str) -> Pair:
    """``x`` and ``d`` as a JWK has them (RFC 8037). Raises ValueError if they do not belong together, or if tokens with
    this header would not begin with ``head``."""
    try:
        private = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})
        public = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
        signed = jws.serialize_compact(header, b"{}", private, algorithms=[ALGORITHM])
        jws.deserialize_compact(signed, public, algorithms=[ALGORITHM])
    except (JoseError, TypeError) as error:
        raise ValueError("this is no key") from error
    if signed.partition(".")[0] != head:
        raise ValueError("headers are written in another way")
    return Pair(private, public)


def sign(header: dict[str, object], payload: bytes, pair: Pair) -> str:
    """A token in compact form."""
    return jws.serialize_compact(header, payload, pair.private, algorithms=[ALGORITHM])


def payload_of(token: str, pair: Pair) -> bytes:
    """What was signed. Raises ValueError where the signature does not hold."""
    try:
        return jws.deserialize_compact(token, pair.public, algorithms=[ALGORITHM]).payload
    except (JoseError, TypeError, LookupError) as error:
        raise ValueError("the signature does not hold") from error


def fresh(seed: bytes) -> tuple[bytes, bytes]:
    """A key out of 32 random bytes: its public and its private half, raw."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private.public_key().public_bytes_raw(), private.private_bytes_raw()
