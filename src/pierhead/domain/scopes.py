"""Scopes of bearer tokens: what a client asks for, what a token holds, and the rules that come of it.

Source of the words: distribution's "Token Scope Documentation" (``type:name:action,action``, several with spaces
between). What is not understood is no error: it asks for nothing, and nothing is given for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain import limits
from pierhead.domain.access import Right, Rule, Rules
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns

ACTIONS: Final[Mapping[str, Right]] = {"pull": Right.PULL, "push": Right.PUSH, "delete": Right.DELETE}
CATALOG: Final = "registry:catalog:*"
"""What lists of images are asked for with."""
_EVERYTHING: Final = "*"


class Scope(Struct, frozen=True):
    """One thing that was asked for. ``name`` is as the client calls the image, not yet parsed."""

    kind: str
    name: str
    rights: frozenset[Right]

    @property
    def is_catalog(self) -> bool:
        """Whether it asks for lists of images."""
        return self.kind == "registry" and self.name == "catalog"


class Access(Struct, frozen=True):
    """What a token allows on one image of one repository that is no group. ``row`` is the repository's row id: another
    repository that once bears the same name is another one."""

    repository: RepositoryName
    image: ImageName
    rights: frozenset[Right]
    row: int

    @property
    def actions(self) -> list[str]:
        """The words for ``rights``, in a fixed order."""
        return actions_of(self.rights)


def actions_of(rights: frozenset[Right]) -> list[str]:
    """The words for rights, in a fixed order."""
    return [word for word, right in ACTIONS.items() if right in rights]


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """Every scope that is understood, each once, in the order of asking; the first ``limits.TOKEN_SCOPES_MAX``.

    A class behind the type, as in ``repository(plugin)``, changes nothing here. ``*`` is every action.
    """
    found: dict[tuple[str, str], frozenset[Right]] = {}
    for text in texts:
        for one in text.split(" "):
            kind, colon, rest = one.partition(":")
            name, second, actions = rest.rpartition(":")
            kind = kind.partition("(")[0]
            if not (colon and second and name) or kind not in ("repository", "registry"):
                continue
            words = set(actions.split(","))
            rights = frozenset(right for word, right in ACTIONS.items() if word in words or _EVERYTHING in words)
            if not rights or (kind == "registry" and _EVERYTHING not in words):
                continue
            key = (kind, name)
            if key in found or len(found) < limits.TOKEN_SCOPES_MAX:
                found[key] = found.get(key, frozenset()) | rights
    return [Scope(kind, name, rights) for (kind, name), rights in found.items()]


def rules_for(access: Iterable[Access]) -> Rules:
    """What a token that holds ``access`` was asked for: few rules, since each request asks all of them."""
    together: dict[tuple[ImageName, frozenset[Right]], list[RepositoryName]] = {}
    for one in access:
        together.setdefault((one.image, one.rights), []).append(one.repository)
    return tuple(
        Rule(rights, repositories=Patterns(repositories), images=Patterns([image]))
        for (image, rights), repositories in together.items()
    )


Packed = list[list[list[str]]]
"""Rules in a token: for each the rights, repositories left out, and patterns of repositories, images and tags."""


def pack(rules: Rules) -> Packed:
    """Rules as lists of words; ``unpack`` makes equal ones of it."""
    return [
        [
            sorted(right.value for right in rule.rights),
            sorted(str(name) for name in rule.outside),
            list(rule.repositories.texts),
            list(rule.images.texts),
            list(rule.tags.texts),
        ]
        for rule in rules
    ]


def unpack(packed: Sequence[Sequence[Sequence[str]]]) -> Rules:
    """Raises ValueError for what ``pack`` never made."""
    rules: list[Rule] = []
    for one in packed:
        rights, outside, repositories, images, tags = one
        rules.append(
            Rule(
                frozenset(Right(word) for word in rights),
                frozenset(RepositoryName(name) for name in outside),
                Patterns(repositories),
                Patterns(images),
                TagPatterns(tags),
            )
        )
    return tuple(rules)
