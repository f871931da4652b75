"""Strict JSON: what two readers could understand differently is refused, in time linear in the length of the bytes.

Source: RFC 8259; a manifest is read by many programs, and all have to see the same document in the same bytes.
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn, cast

from pierhead.domain import limits
from pierhead.domain.refusals import ManifestInvalid, shown

Document = dict[str, object]

_NUMBER_DIGITS_MAX: Final = 19
# An entry of an index is made of up to five: itself, urls, annotations, platform, os.features.
_CONTAINERS_MAX: Final = 8 * limits.MANIFEST_REFERENCES_MAX

# Whatever stands between two brackets, strings with the brackets in them included. A string ends at its quote or at
# the end of the text: one that never ends is then scanned once, not once for every quote in it. Possessive, so nothing
# is ever tried twice.
_BETWEEN_BRACKETS: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def decode(body: bytes) -> Document:
    """The one JSON object that ``body`` is, in UTF-8.

    Raises ManifestInvalid for any other encoding, a byte order mark, a key given twice in an object, ``NaN`` and
    ``Infinity``, half surrogate pairs, numbers of more than 19 digits, more levels than limits.MANIFEST_NESTING_MAX,
    and whatever is no JSON. Fractions are not kept: each becomes 0.5.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"it is not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise ManifestInvalid("it begins with a byte order mark, which JSON does not have")
    _refuse_deep_nesting(body)
    try:
        document: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ManifestInvalid(f"it is not JSON at line {error.lineno} column {error.colno} ({error.msg})") from None
    if not isinstance(document, dict):
        raise ManifestInvalid("it is not a JSON object")
    if _SURROGATE.search(text) is not None:
        try:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ManifestInvalid("a text in it holds half a surrogate pair, which is no character") from None
    return cast(Document, document)


def _refuse_deep_nesting(body: bytes) -> None:
    """Each round takes away the innermost pairs of brackets, so what is left after the last round was deeper."""
    if body.count(b"{") + body.count(b"[") <= limits.MANIFEST_NESTING_MAX:
        return
    brackets, found = _BETWEEN_BRACKETS.subn(b"", body, count=2 * _CONTAINERS_MAX)
    if found == 2 * _CONTAINERS_MAX or len(brackets) > 2 * _CONTAINERS_MAX:
        raise ManifestInvalid(f"it is made of more than {_CONTAINERS_MAX} objects and lists")
    brackets = brackets.translate(_AS_SQUARE)
    for _ in range(limits.MANIFEST_NESTING_MAX):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    # Few brackets left open are no danger to the parser, which says where they are.
    if b"[]" in brackets or brackets.count(b"[") > limits.MANIFEST_NESTING_MAX:
        raise ManifestInvalid(f"it is nested deeper than {limits.MANIFEST_NESTING_MAX} levels")


def _object(pairs: list[tuple[str, object]]) -> Document:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ManifestInvalid(f"the key `{shown(key)}` is given twice in one object")
            seen.add(key)
    return made


def _whole(text: str) -> int:
    if len(text) > _NUMBER_DIGITS_MAX + text.startswith("-"):
        raise ManifestInvalid(f"a number in it has more than {_NUMBER_DIGITS_MAX} digits")
    return int(text)


def _fraction(_text: str) -> float:
    """No field of a manifest is a fraction, so that any value will do; ``1e999`` would otherwise become infinite."""
    return 0.5


def _constant(text: str) -> NoReturn:
    raise ManifestInvalid(f"it holds {text}, which JSON does not have")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_constant
)
