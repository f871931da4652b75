"""A set of an issuer's keys (RFC 7517): those that can check a signature, by their id and algorithm.

A key is bound to one family of algorithms by its type, so that none of them can be talked into another: there is no
shared secret among these algorithms, and a public key never serves as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from pierhead.domain.discreet import Discreet
from pierhead.domain.refusals import ManifestInvalid
from pierhead.domain.strict_json import Document, decode

# What a configuration calls an algorithm -> the names that a header may give it (RFC 9864 renamed the last one).
MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    "RS256": ("RS256",),
    "ES256": ("ES256",),
    "EdDSA": ("EdDSA", "Ed25519"),
}
_KEYS_MAX: Final = 200
_RSA_BITS: Final = range(2_048, 8_193)
_EXPONENT_MAX: Final = 1 << 32


class KeysUnreadable(Exception):
    """``args[0]`` goes on after "the set of keys "."""


class SigningKey(Discreet, frozen=True):
    """``model`` is joserfc's name of the only algorithm that it is used with."""

    model: str
    key: Key


KeySet = Mapping[tuple[str, str], SigningKey]
"""By the `kid` and `alg` of a token's header."""


def read_keys(body: bytes) -> KeySet:
    """Every key of the set that can be used here. Raises KeysUnreadable for what is no set, and for one without any."""
    try:
        listed = decode(body).get("keys")
    except ManifestInvalid:
        raise KeysUnreadable("is no JSON object that can be read") from None
    if not isinstance(listed, list):
        raise KeysUnreadable("has no `keys`")
    if len(listed) > _KEYS_MAX:
        raise KeysUnreadable(f"holds more than {_KEYS_MAX} keys")
    found: dict[tuple[str, str], SigningKey] = {}
    for one in listed:
        if isinstance(one, dict):
            _take(one, found)
    if not found:
        raise KeysUnreadable("holds no key that signatures are checked with (RS256, ES256, EdDSA; with a `kid`)")
    return found


def _take(one: Document, found: dict[tuple[str, str], SigningKey]) -> None:
    """The first of two keys with one id and algorithm counts. What cannot be used is passed over: sets hold keys for
    other purposes too."""
    key_id, operations = one.get("kid"), one.get("key_ops", ["verify"])
    if not isinstance(key_id, str) or one.get("use", "sig") != "sig":
        return
    if not isinstance(operations, list) or "verify" not in operations:
        return
    algorithm, made = _made(one)
    if made is None:
        return
    names = MODELS[algorithm]
    if one.get("alg", names[0]) in names:
        for name in names:
            found.setdefault((key_id, name), made)


def _made(one: Document) -> tuple[str, SigningKey | None]:
    """Public members only, whatever else the set holds."""
    try:
        match one.get("kty"):
            case "RSA":
                return "RS256", _rsa(one)
            case "EC" if one.get("crv") == "P-256":
                return "ES256", SigningKey("ES256", ECKey.import_key(_texts(one, "crv", "x", "y")))
            case "OKP" if one.get("crv") == "Ed25519":
                return "EdDSA", SigningKey("Ed25519", OKPKey.import_key(_texts(one, "crv", "x")))
    except (JoseError, ValueError, TypeError, OverflowError):
        pass
    return "", None


def _rsa(one: Document) -> SigningKey | None:
    members = _texts(one, "n", "e")
    if len(members["n"]) * 6 < _RSA_BITS.start:
        return None
    key = RSAKey.import_key(members)
    numbers = key.public_key.public_numbers()
    fit = numbers.n.bit_length() in _RSA_BITS and 3 <= numbers.e < _EXPONENT_MAX
    return SigningKey("RS256", key) if fit else None


def _texts(one: Document, *names: str) -> dict[str, str | list[str]]:
    made: dict[str, str | list[str]] = {}
    for name in ("kty", *names):
        value = one.get(name)
        if not isinstance(value, str):
            raise ValueError(name)
        made[name] = value
    return made
