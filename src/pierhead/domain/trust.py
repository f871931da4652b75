"""Trust rules: which claims of a token that another system signed give which rights.

A claim is compared as text: a number by its digits, a truth as ``true`` or ``false``, a list by any of its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from pierhead.domain.access import Principal, Rule
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import shown

Claims = Mapping[str, object]
Path = tuple[str, ...]

_SHOWN_MAX: Final = 5
_SUBJECTS: Final = (("project_id", "project"), ("repository_id", "repository"))


def dotted(path: Path) -> str:
    """How sentences call a claim: ``kubernetes.io.namespace``."""
    return ".".join(path)


def is_id(path: Path) -> bool:
    """Whether a claim of this name holds an id, which nobody else is given later, and no name that changes hands."""
    return path[-1] in ("id", "uid", "sub") or path[-1].endswith("_id")


def texts_at(claims: Claims, path: Path) -> tuple[str, ...]:
    """What a claim says, as texts; empty if it is not there or is something that cannot be compared."""
    found: object = claims
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return ()
        found = found[name]
    members = found if isinstance(found, list) else [found]
    return tuple(text for text in map(_text, members) if text is not None)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None


class Wanted(Struct, frozen=True):
    """One claim, by its names from the outside in, and what it has to be: one of ``values``, or met by ``like``."""

    path: Path
    values: tuple[str, ...] = ()
    like: Patterns | None = None

    def fits(self, claims: Claims) -> bool:
        """Whether the claim is there and is what is wanted."""
        said = texts_at(claims, self.path)
        if self.like is not None:
            return any(self.like.meets(text) for text in said)
        return any(text in self.values for text in said)


class TrustRule(Struct, frozen=True):
    """``rule`` for whoever's claims are all as ``wanted`` says. ``name`` is how sentences call it."""

    name: str
    wanted: tuple[Wanted, ...]
    rule: Rule

    def unmet(self, claims: Claims) -> tuple[Wanted, ...]:
        """What does not fit; empty if the rule holds."""
        return tuple(one for one in self.wanted if not one.fits(claims))


def holding(rules: Iterable[TrustRule], claims: Claims) -> tuple[TrustRule, ...]:
    """The rules that hold for these claims, in their order; what they give adds up."""
    return tuple(rule for rule in rules if not rule.unmet(claims))


def why_none(rules: Sequence[TrustRule], claims: Claims) -> str:
    """What does not fit in the rules that come nearest, as the rest of a sentence behind a colon.

    Which ids a rule wants is not told: whoever holds a token of the issuer could ask who else is trusted.
    """
    if not rules:
        return "there are no rules"
    misses = [(rule, rule.unmet(claims)) for rule in rules]

    def distance(unmet: tuple[Wanted, ...]) -> tuple[int, int]:
        return sum(is_id(one.path) for one in unmet), len(unmet)

    least = min(distance(unmet) for _, unmet in misses)
    asked: dict[Path, list[str]] = {}
    for _, unmet in misses:
        if distance(unmet) == least:
            for one in unmet:
                asked.setdefault(one.path, []).extend(one.values if one.like is None else one.like.texts)
    return "; ".join(_miss(path, values, claims) for path, values in asked.items())


def _miss(path: Path, values: Iterable[str], claims: Claims) -> str:
    said = texts_at(claims, path)
    if not said:
        return f"`{dotted(path)}` is not in it"
    told = f"`{dotted(path)}` is {_listed(said)}"
    return f"{told}, which fits no rule" if is_id(path) else f"{told} where {_listed(values)} is wanted"


def _listed(texts: Iterable[str]) -> str:
    every = list(dict.fromkeys(texts))
    more = ", …" if len(every) > _SHOWN_MAX else ""
    return " or ".join(f"`{shown(text)}`" for text in every[:_SHOWN_MAX]) + more


def looked_at(rules: Iterable[TrustRule]) -> tuple[str, ...]:
    """The names of all claims that rules ask about, sorted."""
    return tuple(sorted({dotted(one.path) for rule in rules for one in rule.wanted}))


def subject_of(claims: Claims) -> str:
    """Whose token it is, readable and the same from job to job: ``project/5`` of GitLab, ``repository/7`` of GitHub,
    and the subject of any other issuer."""
    for claim, word in _SUBJECTS:
        said = texts_at(claims, (claim,))
        if len(said) == 1:
            return f"{word}/{shown(said[0])}"
    said = texts_at(claims, ("sub",))
    return shown(said[0]) if said else "nobody"


def trusted_by(who: Principal) -> str:
    """The key of the configuration under which the issuer of a job's id_token stands."""
    return f"trust.{who.name.partition(':')[0]}"


def fitting(who: Principal) -> Sequence[str]:
    """The names of the rules that hold for a job; none for who is none."""
    names = who.through.get("rules", ())
    return [str(name) for name in names] if isinstance(names, Sequence) else []
