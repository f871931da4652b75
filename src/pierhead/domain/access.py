"""Who may do what: rights on repositories and images, given by roles, handed on as grants.

What changes something takes a ``Grant`` as an argument, and only ``require`` makes one: a check that is forgotten does
not compile.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.patterns import EVERY, EVERY_TAG, Patterns, TagPatterns
from pierhead.domain.refusals import Denied, ScopeMissing, TagDenied


class Right(enum.Enum):
    """What a role can give."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    PROMOTE = "promote"
    READ_AUDIT = "read audit"
    REPORT_RUNNING = "report running"
    OPERATE = "operate"
    ADMINISTER = "administer"


ALL_RIGHTS: Final = frozenset(Right)


class Rule(Struct, frozen=True):
    """``rights`` on the images that ``images`` meets, in the repositories that ``repositories`` meets but those in
    ``outside``; a push under a tag only where ``tags`` meets it.

    An image's name is what stands behind the repository's, whether by port or by path; a proxy of Docker Hub knows
    ``python`` as ``library/python``.
    """

    rights: frozenset[Right]
    outside: frozenset[RepositoryName] = frozenset()
    repositories: Patterns = EVERY
    images: Patterns = EVERY
    tags: TagPatterns = EVERY_TAG

    def covers(self, repository: RepositoryName) -> bool:
        """Whether it says anything of some image of the repository."""
        return repository not in self.outside and self.repositories.meets(repository)

    def gives(self, right: Right, repository: RepositoryName, image: ImageName) -> bool:
        """Whether it gives ``right`` on the image."""
        return right in self.rights and self.covers(repository) and self.images.meets(image)


Rules = tuple[Rule, ...]
ANONYMOUS: Final = "anonymous"
"""Who has no account; no account can be called this."""
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Principal(Struct, frozen=True, eq=False):
    """Somebody who has shown who they are, with what their roles give them.

    ``limit`` is what an access token was narrowed to when it was made, ``asked`` what a bearer token was asked for;
    each takes away from ``rules`` and gives nothing. None is no narrowing. ``catalog`` is False for a bearer token that
    was not asked for the list of images. ``through`` says how they signed in, for the audit; no secret stands in it.
    """

    name: str
    rules: Rules
    limit: Rules | None = None
    asked: Rules | None = None
    catalog: bool = True
    through: Mapping[str, object] = field(default_factory=lambda: _NOTHING)

    def __eq__(self, other: object) -> bool:
        """However they signed in."""
        return isinstance(other, Principal) and self._who() == other._who()

    def __hash__(self) -> int:
        return hash(self._who())

    def _who(self) -> tuple[object, ...]:
        return self.name, self.rules, self.limit, self.asked, self.catalog

    def may(self, right: Right, repository: RepositoryName, image: ImageName) -> bool:
        """Whether ``right`` is given on the image."""
        return self.may_ask(right, repository, image) and (
            self.asked is None or any(rule.gives(right, repository, image) for rule in self.asked)
        )

    def may_ask(self, right: Right, repository: RepositoryName, image: ImageName) -> bool:
        """Whether it would be given if a bearer token were asked for it."""
        return any(rule.gives(right, repository, image) for rule in self.rules) and (
            self.limit is None or any(rule.gives(right, repository, image) for rule in self.limit)
        )

    def may_tag(self, repository: RepositoryName, image: ImageName, tag: Tag) -> bool:
        """Whether a push of the image may set the tag; a bearer token is not asked for single tags."""
        return all(
            layer is None or any(rule.gives(Right.PUSH, repository, image) and rule.tags.meets(tag) for rule in layer)
            for layer in (self.rules, self.limit)
        )

    def lacks_scope(self, right: Right, repository: RepositoryName, image: ImageName) -> bool:
        """Whether only a bearer token stands in the way, which could have been asked for more."""
        return (
            self.asked is not None and not self.may(right, repository, image) and self.may_ask(right, repository, image)
        )

    def may_somewhere(self, right: Right, repository: RepositoryName) -> bool:
        """Whether ``right`` may be given on some image of the repository; one that it is given on need not exist."""
        layers = (self.rules, self.limit, self.asked)
        return all(
            layer is None or any(right in rule.rights and rule.covers(repository) for rule in layer) for layer in layers
        )

    def may_everywhere(self, right: Right, repository: RepositoryName) -> bool:
        """Whether one rule of each layer gives ``right`` on every image of the repository."""
        layers = (self.rules, self.limit, self.asked)
        return all(
            layer is None
            or any(right in rule.rights and rule.covers(repository) and rule.images.every for rule in layer)
            for layer in layers
        )

    def holds(self, right: Right) -> bool:
        """Whether ``right`` is given at all, for what belongs to no repository."""
        layers = (self.rules, self.limit, self.asked)
        return all(layer is None or any(right in rule.rights for rule in layer) for layer in layers)


class Grant(Struct, frozen=True):
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
    "reporter": frozenset({Right.REPORT_RUNNING}),
    "admin": ALL_RIGHTS,
}
BUILT_IN_ROLES: Final = tuple(_RIGHTS_OF_ROLE)

_IMAGES_SHOWN_MAX: Final = 10
_VERBS: Final = {Right.PUSH: "push to", Right.DELETE: "delete from", Right.PULL: "pull from"}


def rules_of(
    roles: Iterable[str], later_stages: Iterable[RepositoryName], own: Mapping[str, Rules] | None = None
) -> Rules:
    """What roles give together. ``own`` are those that somebody defined, by name; built-in ones cannot be redefined.
    ``later_stages`` are filled by promotion, so a publisher does not push there.

    Raises KeyError for a role that is neither; the config file is checked for that before.
    """
    outside = frozenset(later_stages)
    rules: list[Rule] = []
    for role in roles:
        if role not in _RIGHTS_OF_ROLE:
            rules += (own or {})[role]
            continue
        rights = _RIGHTS_OF_ROLE[role]
        if role == "publisher" and outside:
            rules.append(Rule(rights - {Right.PUSH}))
            rules.append(Rule(frozenset({Right.PUSH}), outside))
        else:
            rules.append(Rule(rights))
    return tuple(rules)


def require(principal: Principal, right: Right, repository: RepositoryName, image: ImageName) -> Grant:
    """Raises Denied, whose sentence says what is missing; ScopeMissing where a bearer token that asked for more would
    have been given it."""
    if principal.may(right, repository, image):
        return Grant(principal, right, repository, image)
    if principal.lacks_scope(right, repository, image):
        raise ScopeMissing(right.value)
    hint = _way_out(principal, right, repository)
    raise Denied(principal.name, _VERBS.get(right, right.value), f"{repository}/{image}", hint)


def _way_out(principal: Principal, right: Right, repository: RepositoryName) -> str:
    if principal.name == ANONYMOUS:
        return "Log in first: `docker login` with this host and port."
    if right is Right.DELETE:
        return "Deleting needs the role `admin`."
    if right is not Right.PUSH:
        return ""
    pushing = [rule for rule in principal.rules if right in rule.rights and rule.covers(repository)]
    if pushing and principal.limit is None:
        images = sorted({text for rule in pushing for text in rule.images.texts})
        more = ", …" if len(images) > _IMAGES_SHOWN_MAX else ""
        return f"There it pushes {', '.join(images[:_IMAGES_SHOWN_MAX])}{more}."
    if pushing:
        return "The access token is narrower than its account: `pierhead whoami` shows what it may."
    return "Pushing there needs the right `push`, from a role such as `publisher` or a rule under `trust`."


def require_tags(grant: Grant, tags: Iterable[Tag]) -> None:
    """Raises TagDenied for a tag that the grant's principal may not push. Tags under which clients keep referrers go
    with the image."""
    who = grant.principal
    for tag in tags:
        if not tag.is_fallback and not who.may_tag(grant.repository, grant.image, tag):
            given = [rule for rule in who.rules if rule.gives(Right.PUSH, grant.repository, grant.image)]
            allowed = sorted({text for rule in given for text in rule.tags.texts})
            raise TagDenied(who.name, f"{grant.repository}/{grant.image}", tag, allowed)
