"""ECDSA on P-256 with SHA-256, the one scheme that every verifier of such records knows; imported when one is signed.

Signatures are made without chance (RFC 6979), so a transaction that is run again writes the same bytes.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SHA256 = hashes.SHA256()


def pair(number: int) -> tuple[bytes, bytes, bytes]:
    """The key that is this number: its private half and its public one in PEM form, and the public one as DER."""
    private = ec.derive_private_key(number, ec.SECP256R1())
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return secret, public, _der(private)


def load(pem: bytes, key_id: str) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError for what is no such key, or another than ``key_id`` names."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or hashlib.sha256(_der(key)).hexdigest() != key_id:
        raise ValueError("this is another key")
    return key


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """A signature as DER."""
    try:
        return key.sign(message, ec.ECDSA(_SHA256, deterministic_signing=True))
    except UnsupportedAlgorithm:  # OpenSSL before 3.2
        return key.sign(message, ec.ECDSA(_SHA256))


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
