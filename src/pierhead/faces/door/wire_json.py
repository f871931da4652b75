"""JSON for answers. Names and digests are kinds of ``str`` that the encoder does not know by itself."""

from __future__ import annotations

from typing import Final

import msgspec


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is nothing that an answer holds")


encode: Final = msgspec.json.Encoder(enc_hook=_as_text).encode
