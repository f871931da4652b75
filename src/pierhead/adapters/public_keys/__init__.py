"""Public keys in PEM form: ECDSA on P-256, Ed25519, RSA with PKCS #1 v1.5; SHA-256 for the first and the last, as
cosign signs (SIGNATURE_SPEC, "Signature Schemes"). A file may hold several, so that a key can be exchanged.

The library is imported when the first key is read: a server that checks no signature does without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pierhead.domain import limits
from pierhead.ports.public_keys import KeyFiles, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?-----END \1-----", re.DOTALL)
_PUBLIC: Final = (b"PUBLIC KEY", b"RSA PUBLIC KEY")
_KEYS_MAX: Final = 100


class PemKeys:
    """Implements ``ports.public_keys.PublicKeys``."""

    def read(self, paths: Sequence[str]) -> KeyFiles:
        """See the port."""
        keys: list[PublicKey] = []
        faults: list[str] = []
        for path in paths:
            name = os.path.basename(path)
            try:
                with open(path, "rb") as file:
                    data = file.read(limits.PUBLIC_KEYS_BYTES_MAX + 1)
                keys += keys_in(data)
            except OSError as error:
                faults.append(f"{name} cannot be read ({(error.strerror or 'unknown error').lower()})")
            except ValueError as error:
                faults.append(f"{name} {error}")
        return KeyFiles(keys, faults)


def keys_in(data: bytes) -> list[PublicKey]:
    """The keys of a PEM text, at least one. Raises ValueError with a clause that begins with a verb."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if len(data) > limits.PUBLIC_KEYS_BYTES_MAX:
        raise ValueError(f"has more than {limits.PUBLIC_KEYS_BYTES_MAX} bytes")
    blocks = list(_BLOCK.finditer(data))[: _KEYS_MAX + 1]
    if any(b"PRIVATE KEY" in block[1] for block in blocks):
        raise ValueError("holds a private key: keep that where signatures are made, and give the public one here")
    if any(block[1] == b"CERTIFICATE" for block in blocks):
        raise ValueError("holds a certificate, and a public key is wanted: openssl x509 -pubkey -noout -in FILE")
    wanted = [block[0] for block in blocks if block[1] in _PUBLIC]
    if not wanted or len(wanted) > _KEYS_MAX:
        raise ValueError("holds no public key in PEM form (-----BEGIN PUBLIC KEY-----)")
    try:
        return [_key(load_pem_public_key(block)) for block in wanted]
    except UnsupportedAlgorithm:
        raise ValueError("holds a key of a kind that is not known here") from None
    except ValueError as error:
        raise error if isinstance(error, _Unfit) else ValueError("holds a public key that is damaged") from None


class _Unfit(ValueError):
    """A key of a kind that is not taken."""


def _key(found: PublicKeyTypes) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    from pierhead.adapters.public_keys.kinds import Ecdsa, Ed25519, Rsa

    if isinstance(found, ec.EllipticCurvePublicKey):
        if not isinstance(found.curve, ec.SECP256R1):
            raise _Unfit(f"holds an ECDSA key on {found.curve.name}; taken is P-256")
        return Ecdsa(found)
    if isinstance(found, ed25519.Ed25519PublicKey):
        return Ed25519(found)
    if isinstance(found, rsa.RSAPublicKey):
        if not limits.RSA_BITS_MIN <= found.key_size <= limits.RSA_BITS_MAX:
            raise _Unfit(f"holds an RSA key of {found.key_size} bits; taken are {limits.RSA_BITS_MIN} and more")
        return Rsa(found)
    raise _Unfit("holds a key that is none of ECDSA on P-256, Ed25519 and RSA")
