"""What may stand behind the keys of `tags`: as ``config_values.py``, which see."""

from __future__ import annotations

from typing import Final

from pierhead.boot.config_faults import Wrong, did_you_mean
from pierhead.boot.config_values import text
from pierhead.domain import tagging
from pierhead.domain.names import Tag
from pierhead.domain.refusals import TagInvalid

_LIKE: Final = {"short_sha": "a1b2c3d4", "slug": "fix-login", "version": "1.4.0"}
_REFS_MAX: Final = 100
_REF_CHARACTERS_MAX: Final = 255


def refs(value: object) -> tuple[str, ...]:
    """A pattern of branches or Git tags, or several, in which ``*`` stands for any characters, ``/`` too."""
    several = [text(one) for one in (value if isinstance(value, list) else [value])]
    if not several:
        raise Wrong('is empty. Give a pattern, such as main or "release/*".')
    if len(several) > _REFS_MAX:
        raise Wrong(f"has more than {_REFS_MAX} patterns.")
    for one in several:
        if len(one) > _REF_CHARACTERS_MAX or any(c.isspace() or c in "~^:?[\\{}" for c in one):
            raise Wrong("is no pattern of branches or Git tags: a name, with * for any characters.")
    return tuple(several)


def name(value: object) -> str:
    """A tag with placeholders, such as ``main-{short_sha}``, or without any."""
    written = text(value)
    for found in tagging.placeholders(written):
        if found not in tagging.PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in tagging.PLACEHOLDERS)
            hint = did_you_mean(found, tagging.PLACEHOLDERS) or f" Known: {known}."
            raise Wrong(f"holds {{{found}}}, which stands for nothing.{hint}")
    if "{" in tagging.PLACEHOLDER.sub("", written) or "}" in tagging.PLACEHOLDER.sub("", written):
        raise Wrong("holds a brace that is not closed.")
    longest = tagging.longest(written)
    if longest > tagging.TAG_CHARACTERS_MAX:
        raise Wrong(f"can come to {longest} characters, and a tag has at most {tagging.TAG_CHARACTERS_MAX}.")
    _tag(tagging.PLACEHOLDER.sub(lambda one: _LIKE[one[1]], written))
    return written


def plain_tag(value: object) -> str:
    """A tag that moves, such as ``latest``."""
    written = text(value)
    if "{" in written or "*" in written:
        raise Wrong("must be a plain tag, such as latest: what moves has one name.")
    _tag(written)
    return written


def _tag(made: str) -> None:
    try:
        Tag.parse(made)
    except TagInvalid:
        raise Wrong("cannot be a tag: letters, digits, . _ and -, and neither . nor - at its beginning.") from None
