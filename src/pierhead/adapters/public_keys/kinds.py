"""The three kinds of keys. Each implements ``ports.public_keys.PublicKey``."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct


class Ecdsa(Struct, frozen=True):
    """Signatures are DER (RFC 3279)."""

    key: ec.EllipticCurvePublicKey

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """See the port."""
        try:
            self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519(Struct, frozen=True):
    """RFC 8032, over the message itself."""

    key: Ed25519PublicKey

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """See the port."""
        try:
            self.key.verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Rsa(Struct, frozen=True):
    """RSASSA-PKCS1-v1_5 (RFC 8017)."""

    key: RSAPublicKey

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """See the port."""
        try:
            self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True
