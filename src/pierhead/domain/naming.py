"""Rules for names of images: which names are refused or warned about at a push, and what the right name would be.

The catalogue comes first: an image that stands in it is right, whatever the rules say. The first rule that is about a
name decides; a name that no rule is about is free.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from pierhead.domain import limits
from pierhead.domain.access import Principal, Right
from pierhead.domain.catalogue import Catalogue, Service
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import EVERY, Patterns
from pierhead.domain.refusals import NameInvalid

PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
OF_SERVICE: Final = ("service", "project_id", "owner")
"""What of the right name's service a hint may hold, besides what the pattern took out of the name."""
IMAGE: Final = "image"
SUGGESTION: Final = "suggestion"
_SERVICE: Final = "service"
_NEAR: Final = 2
_WILD: Final = re.compile(r"\*|\{[a-z]+\}")
_DEFAULT_HINT: Final = "Push to {suggestion}."


class Action(enum.Enum):
    """What a rule does with a name that it is about. ``ALLOW`` ends the search, so that a later rule does not meet it;
    a rule that is ``OFF`` is about nothing."""

    REFUSE = "refuse"
    WARN = "warn"
    ALLOW = "allow"
    OFF = "off"


class NamePattern:
    """A pattern of names: ``*`` stands for any characters, ``{word}`` for a part of the name without ``/``, which is
    taken out under that word; ``{service}`` for one that means a service of the catalogue.

    At most ``limits.NAME_PATTERN_WILD_MAX`` of these, since matching takes time that grows with that power.
    """

    __slots__ = ("_shape", "text", "words")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence about the pattern."""
        self.text: Final = text
        wild = _WILD.findall(text)
        self.words: Final = tuple(one[1:-1] for one in wild if one != "*")
        if len(wild) > limits.NAME_PATTERN_WILD_MAX:
            raise ValueError(f"has more than {limits.NAME_PATTERN_WILD_MAX} of * and {{…}}.")
        if len(set(self.words)) < len(self.words):
            raise ValueError("has the same word in braces twice.")
        rest = _WILD.sub("", text)
        if not re.fullmatch(r"[a-z0-9._/-]*", rest):
            raise ValueError("is no pattern of names: lower-case letters and digits with . _ - and /, *, and {word}.")
        pieces = [re.escape(piece) for piece in _WILD.split(text)]
        middle = [".*" if one == "*" else f"(?P<{one[1:-1]}>[^/]+)" for one in wild]
        shape = "".join(part for pair in zip(pieces, [*middle, ""], strict=True) for part in pair)
        self._shape: Final = re.compile(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamePattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"NamePattern({self.text!r})"

    def takes(self, image: str, catalogue: Catalogue) -> Mapping[str, str] | None:
        """What stands for its words in the name; None if it is not about the name."""
        found = self._shape.fullmatch(image)
        if found is None:
            return None
        taken = found.groupdict()
        return None if _SERVICE in taken and catalogue.called(taken[_SERVICE]) is None else taken


class NamingRule(Struct, frozen=True, kw_only=True):
    """``name`` is what sentences call it. With ``near`` it is about names at most so many letters from an image of the
    catalogue. ``suggestion`` and ``hint`` may hold words in braces, ``message`` those of the pattern and ``{image}``;
    without ``repositories`` it holds for all hosted ones."""

    name: str
    patterns: tuple[NamePattern, ...] = (NamePattern("*"),)
    near: int = 0
    action: Action = Action.REFUSE
    message: str = ""
    suggestion: str = ""
    hint: str = ""
    repositories: Patterns = EVERY

    def takes(self, image: str, catalogue: Catalogue) -> Mapping[str, str] | None:
        """What its first pattern that is about the name takes out of it; None if none is."""
        for pattern in self.patterns:
            taken = pattern.takes(image, catalogue)
            if taken is not None:
                return taken
        return None


class Judgement(Struct, frozen=True):
    """What a rule says of a name. ``right`` is the name that was probably meant, None if none is known; ``why`` and
    ``hint`` are sentences, of which only ``hint`` tells of the catalogue."""

    rule: str
    refuses: bool
    image: ImageName
    why: str
    right: ImageName | None = None
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Both."""
        return f"{self.why} {self.hint}" if self.hint else self.why

    @property
    def document(self) -> Mapping[str, str]:
        """For the record of what was done under a name that is warned about."""
        return {"rule": self.rule, "message": self.sentence}

    def may_be_told(self, who: Principal, repository: RepositoryName, *rights: Right) -> bool:
        """Whether there is a right name, under which one of ``rights`` is given."""
        right = self.right
        return right is not None and any(who.may_ask(one, repository, right) for one in rights)

    def told_to(self, who: Principal, repository: RepositoryName, *rights: Right) -> Judgement:
        """The same, without the right name for an account that may not be told it."""
        return self if self.may_be_told(who, repository, *rights) else replace(self, right=None, hint="")


class _Met(Struct, frozen=True):
    """A rule that is about a name, with the words that its pattern took out of it."""

    rule: NamingRule
    words: Mapping[str, str]
    near: Sequence[Service] = ()


class Naming:
    """All rules, in their order, over one catalogue. What was judged once is remembered, up to a bound."""

    __slots__ = ("_judged", "catalogue", "rules")

    def __init__(self, rules: Sequence[NamingRule] = (), catalogue: Catalogue | None = None) -> None:
        self.rules: Final = tuple(rule for rule in rules if rule.action is not Action.OFF)
        self.catalogue: Final = Catalogue() if catalogue is None else catalogue
        self._judged: Final[dict[tuple[str, str], Judgement | None]] = {}

    def __bool__(self) -> bool:
        return bool(self.rules)

    def judge(self, repository: RepositoryName, image: ImageName) -> Judgement | None:
        """What is to be said of the name in a repository; None if it is right or free."""
        if not self.rules or self.catalogue.of_image(image) is not None:
            return None
        key = (repository, image)
        if key not in self._judged:
            if len(self._judged) >= limits.NAMES_JUDGED_MAX:
                self._judged.clear()
            met = self._first(repository, image)
            self._judged[key] = None if met is None else self._judgement(repository, image, met)
        return self._judged[key]

    def meant(self, repository: RepositoryName, image: ImageName) -> ImageName:
        """The right name for one that is refused, as far as it is known; the name itself otherwise."""
        found = self.judge(repository, image)
        return image if found is None or not found.refuses or found.right is None else found.right

    def _first(self, repository: RepositoryName, image: str) -> _Met | None:
        """The rule that decides; None if none does, or one that allows."""
        for rule in self.rules:
            if not rule.repositories.meets(repository):
                continue
            taken = rule.takes(image, self.catalogue)
            if taken is None:
                continue
            near = self.catalogue.near(image, rule.near) if rule.near else ()
            if rule.near and not near:
                continue
            return None if rule.action is Action.ALLOW else _Met(rule, taken, near)
        return None

    def _judgement(self, repository: RepositoryName, image: ImageName, met: _Met) -> Judgement:
        rule = met.rule
        right = self._right(repository, image, met, limits.NAME_CORRECTIONS_MAX)
        words = {**met.words, IMAGE: image}
        why = _filled(rule.message, words) or f"`{image}` is not how images are called here."
        hint = ""
        if right is not None:
            words |= {SUGGESTION: right, **_of_service(self.catalogue.of_image(right))}
            hint = _filled(rule.hint, words) or _filled(_DEFAULT_HINT, words)
        return Judgement(rule.name, rule.action is Action.REFUSE, image, why, right, hint)

    def _right(self, repository: RepositoryName, image: str, met: _Met, steps: int) -> ImageName | None:
        """The name that was meant: as the rule writes it, if the catalogue has that; else that of the service for which
        a part of the name stands; else what is nearly so in the catalogue; else as the rule writes it, if no rule
        refuses that."""
        if met.near:
            return met.near[0].image
        written = _filled(met.rule.suggestion, met.words)
        if self.catalogue.of_image(written) is not None:
            return ImageName(written)
        for word in reversed(list(met.words.values())):
            service = self.catalogue.called(word)
            if service is not None:
                return service.image
        nearly = self.catalogue.near(written or image, _NEAR)
        if nearly:
            return nearly[0].image
        try:
            right = ImageName.parse(written)
        except NameInvalid:
            return None
        again = self._first(repository, right)
        if again is None or again.rule.action is not Action.REFUSE:
            return right if right != image else None
        return self._right(repository, right, again, steps - 1) if steps else None


def _of_service(service: Service | None) -> dict[str, str]:
    if service is None:
        return {}
    return {"service": service.name, "project_id": service.project_id, "owner": service.owner}


def _filled(text: str, words: Mapping[str, str]) -> str:
    """With the words in their places; empty if one of them is not known here, or empty itself."""
    if all(words.get(name) for name in PLACEHOLDER.findall(text)):
        return PLACEHOLDER.sub(lambda found: words[found[1]], text)
    return ""
