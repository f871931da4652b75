"""Access tokens: ``ph_``, 43 characters that hold 256 random bits, and 6 that check them.

The beginning and the check let programs that look for leaked secrets tell one from other texts without asking anybody,
and a mistyped one is refused without a look-up. The check is a CRC-32, as in the tokens of GitHub ("Behind GitHub's new
authentication token formats", 2021); it protects nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

PREFIX: Final = "ph_"
RANDOM_BYTES: Final = 32
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS: Final = 43
_CHECK_CHARACTERS: Final = 6


def access_token(chance: bytes) -> str:
    """The token that ``chance``, RANDOM_BYTES random bytes, stands for."""
    assert len(chance) == RANDOM_BYTES
    body = _base62(int.from_bytes(chance, "big"), _RANDOM_CHARACTERS)
    return PREFIX + body + _check(body)


def is_access_token(text: str) -> bool:
    """Whether ``text`` has the form of one, its check included."""
    body, check = text[len(PREFIX) : -_CHECK_CHARACTERS], text[-_CHECK_CHARACTERS:]
    return (
        len(text) == len(PREFIX) + _RANDOM_CHARACTERS + _CHECK_CHARACTERS
        and text.startswith(PREFIX)
        and text.isascii()
        and check == _check(body)
    )


def hash_of(token: str) -> bytes:
    """What is kept of a token: SHA-256. It needs no salt and no cost, since nobody can try 2**256 texts."""
    return hashlib.sha256(token.encode()).digest()


def fingerprint_of(password_hash: str) -> str:
    """Eight digits by which people tell a password from the one before; made of its Argon2 hash, so that trying
    passwords against it costs what trying them against the hash does."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:8]


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_CHARACTERS)


def _base62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(_LETTERS))
        digits.append(_LETTERS[digit])
    assert number == 0
    return "".join(reversed(digits))
