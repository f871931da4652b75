"""Codes that people read from a terminal and type into a page: ``BCDF-GHJK``.

Twenty consonants spell no word and are taken for no other letter (RFC 8628, 6.1): 34 bits, which hold for minutes and
are tried at a page that slows down.
"""

from __future__ import annotations

import hashlib
from typing import Final

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH: Final = 8
CHANCE_BYTES: Final = 16


def login_code(chance: bytes) -> str:
    """Of CHANCE_BYTES random bytes, so many that each letter is as likely as any other."""
    assert len(chance) == CHANCE_BYTES
    number, letters = int.from_bytes(chance, "big"), []
    for _ in range(LENGTH):
        number, letter = divmod(number, len(LETTERS))
        letters.append(LETTERS[letter])
    text = "".join(letters)
    return f"{text[: LENGTH // 2]}-{text[LENGTH // 2 :]}"


def understood(typed: str) -> str | None:
    """The code as it was given, whatever case and blanks were typed; None for what is none."""
    letters = [one for one in typed.upper() if one not in " -"]
    if len(letters) != LENGTH or not set(letters) <= set(LETTERS):
        return None
    text = "".join(letters)
    return f"{text[: LENGTH // 2]}-{text[LENGTH // 2 :]}"


def mark_of(secret: str) -> bytes:
    """What is kept of a code: SHA-256. Looked up by it, so that no comparison tells how much of a guess was right."""
    return hashlib.sha256(secret.encode()).digest()
