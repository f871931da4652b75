"""Who may do what: rights on repositories, given by roles, handed on as grants.

What changes something takes a ``Grant`` as an argument, and only ``require`` makes one: a check that is forgotten does
not compile.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.refusals import Denied


class Right(enum.Enum):
    """What a role can give."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    PROMOTE = "promote"
    READ_AUDIT = "read audit"
    OPERATE = "operate"
    ADMINISTER = "administer"


ALL_RIGHTS: Final = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Rule:
    """``rights`` on every repository but those in ``outside``."""

    rights: frozenset[Right]
    outside: frozenset[RepositoryName] = frozenset()


@dataclass(frozen=True, slots=True)
class Principal:
    """An account that has shown who it is, with what its roles give it."""

    name: str
    rules: tuple[Rule, ...]
    through: Mapping[str, object] = field(default_factory=dict, compare=False)
    """How it did so, for the record: ``way`` is ``password`` or another kind of credential; never a secret."""

    def may(self, right: Right, repository: RepositoryName) -> bool:
        """Whether one of the rules gives ``right`` on the repository."""
        return any(right in rule.rights and repository not in rule.outside for rule in self.rules)

    def holds(self, right: Right) -> bool:
        """Whether ``right`` is given at all, for what belongs to no repository."""
        return any(right in rule.rights for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to do one thing to one image; made by ``require`` only."""

    principal: Principal
    right: Right
    repository: RepositoryName
    image: ImageName


_RIGHTS_OF_ROLE: Final = {
    "publisher": frozenset({Right.PULL, Right.PUSH}),
    "deployer": frozenset({Right.PULL}),
    "promoter": frozenset({Right.PULL, Right.PROMOTE}),
    "auditor": frozenset({Right.READ_AUDIT}),
    "operator": frozenset({Right.OPERATE}),
    "admin": ALL_RIGHTS,
}


def rules_of(roles: Iterable[str], later_stages: Iterable[RepositoryName]) -> tuple[Rule, ...]:
    """What built-in roles give together; ``later_stages`` are filled by promotion, so a publisher does not push there.

    Raises KeyError for a role that is not built in; the config file is checked for that before.
    """
    outside = frozenset(later_stages)
    rules: list[Rule] = []
    for role in roles:
        rights = _RIGHTS_OF_ROLE[role]
        if role == "publisher" and outside:
            rules.append(Rule(rights - {Right.PUSH}))
            rules.append(Rule(frozenset({Right.PUSH}), outside))
        else:
            rules.append(Rule(rights))
    return tuple(rules)


def require(principal: Principal, right: Right, repository: RepositoryName, image: ImageName) -> Grant:
    """Raises Denied, whose sentence says what is missing."""
    if principal.may(right, repository):
        return Grant(principal, right, repository, image)
    where = {Right.PUSH: "push to", Right.DELETE: "delete from", Right.PULL: "pull from"}.get(right, right.value)
    hint = "Deleting needs the role `admin`." if right is Right.DELETE else ""
    raise Denied(principal.name, where, f"{repository}/{image}", hint)
