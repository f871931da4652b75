"""Names of accounts, roles and access tokens, and rules as JSON has them and as people say them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pierhead.domain import limits
from pierhead.domain.access import Right, Rule, Rules
from pierhead.domain.patterns import VERSION, Patterns, TagPatterns
from pierhead.domain.refusals_accounts import BodyInvalid

ACCOUNT_GRAMMAR: Final = "1 to 128 letters, digits and . _ - @ +, the first a letter or digit; no `pierhead`"
ROLE_GRAMMAR: Final = "up to 64 lower-case letters and digits, with . _ or - between them"

# Nobody, and what the record calls the program itself.
_NO_ACCOUNTS: Final = ("anonymous", "pierhead")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_ROLE: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_PATTERN: Final = re.compile(r"[a-z0-9._/*-]{1,255}")
_TAG_PATTERN: Final = re.compile(r"[A-Za-z0-9._*-]{1,128}")
_RIGHTS: Final = {right.value: right for right in Right}
_LISTS: Final = ("rights", "repositories", "images", "tags")


def is_account_name(text: str) -> bool:
    """Whether ``text`` can stand before the colon of Basic authentication (RFC 7617); `anonymous` is nobody, and
    `pierhead` the program itself in the record of events."""
    return text not in _NO_ACCOUNTS and _ACCOUNT.fullmatch(text) is not None


def is_role_name(text: str) -> bool:
    """Built in or not."""
    return len(text) <= 64 and _ROLE.fullmatch(text) is not None


def is_repository_pattern(text: str) -> bool:
    """``*`` stands for any characters; a repository's name has no slash."""
    return "/" not in text and _PATTERN.fullmatch(text) is not None


def is_image_pattern(text: str) -> bool:
    """``*`` stands for any characters, ``/`` too."""
    return _PATTERN.fullmatch(text) is not None and not (text.startswith("/") or text.endswith("/") or "//" in text)


def is_tag_pattern(text: str) -> bool:
    """``*`` stands for any characters, ``{version}`` alone for a version."""
    return text == VERSION or _TAG_PATTERN.fullmatch(text) is not None


# --- as JSON ---------------------------------------------------------------------------------------------------------


def rules_document(rules: Rules) -> list[dict[str, object]]:
    """What ``rules_of_document`` takes; patterns that meet everything are written out."""
    return [
        {
            "rights": [right.value for right in Right if right in rule.rights],
            "repositories": list(rule.repositories.texts),
            "images": list(rule.images.texts),
            "tags": list(rule.tags.texts),
        }
        for rule in rules
    ]


def rules_of_document(document: object, where: str = "rules") -> Rules:
    """Rules as the configuration file writes them: a list of ``{rights, repositories, images, tags}``.

    Raises BodyInvalid, which names the place within ``where``.
    """
    if not isinstance(document, list) or not document:
        raise BodyInvalid(where, 'must be a list of rules, such as [{"rights": ["pull"]}]')
    if len(document) > limits.RULES_MAX:
        raise BodyInvalid(where, f"has more than {limits.RULES_MAX} rules")
    return tuple(_rule(one, f"{where}[{at}]") for at, one in enumerate(document))


def _rule(document: object, where: str) -> Rule:
    if not isinstance(document, Mapping):
        raise BodyInvalid(where, 'must be an object, such as {"rights": ["pull"]}')
    for key in document:
        if key not in _LISTS:
            raise BodyInvalid(f"{where}.{key}", f"is unknown. Known: {', '.join(_LISTS)}")
    rights = _texts(
        document, "rights", where, lambda text: text in _RIGHTS, f"is no right. Known: {', '.join(_RIGHTS)}"
    )
    if not rights:
        raise BodyInvalid(f"{where}.rights", "is missing or empty. Give at least one right")
    repositories = _texts(document, "repositories", where, is_repository_pattern, "is no pattern of repository names")
    images = _texts(document, "images", where, is_image_pattern, "is no pattern of image names")
    tags = _texts(document, "tags", where, is_tag_pattern, "is no pattern of tags")
    return Rule(
        frozenset(_RIGHTS[text] for text in rights),
        repositories=Patterns(["*"] if repositories is None else repositories),
        images=Patterns(["*"] if images is None else images),
        tags=TagPatterns(["*"] if tags is None else tags),
    )


def _texts(
    document: Mapping[object, object], key: str, where: str, good: Callable[[str], bool], why: str
) -> Sequence[str] | None:
    """None for a key that is left out; an empty list would meet nothing and is refused."""
    if key not in document:
        return None
    found = document[key]
    if not isinstance(found, list) or not found or len(found) > limits.PATTERNS_MAX:
        raise BodyInvalid(f"{where}.{key}", f"must be a list of 1 to {limits.PATTERNS_MAX} texts")
    for at, one in enumerate(found):
        if not isinstance(one, str) or not good(one):
            raise BodyInvalid(f"{where}.{key}[{at}]", why)
    return found


# --- in words --------------------------------------------------------------------------------------------------------


def in_words(rule: Rule) -> str:
    """``pull and push on orchestrator/* in docker-hosted-dev, under tags 1.*``: continues "may"."""
    rights = [right.value for right in Right if right in rule.rights]
    text = _listed(rights, "and")
    if rule.rights <= {Right.READ_AUDIT, Right.REPORT_RUNNING, Right.OPERATE, Right.ADMINISTER}:
        narrowed = Right.REPORT_RUNNING in rule.rights and not rule.repositories.every
        return f"{text} in {_listed(rule.repositories.texts, 'or')}" if narrowed else text
    if rule.rights == frozenset(Right):
        text = "everything"
    text += " on every image" if rule.images.every else f" on {_listed(rule.images.texts, 'or')}"
    if not rule.repositories.every:
        text += f" in {_listed(rule.repositories.texts, 'or')}"
    if rule.outside:
        text += f" but in {_listed(sorted(rule.outside), 'and')}"
    if Right.PUSH in rule.rights and "*" not in rule.tags.texts:
        text += f", under tags {_listed(rule.tags.texts, 'or')}"
    return text


def _listed(words: Sequence[str], joint: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}" if words else "nothing"
