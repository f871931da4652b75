"""`trust` of the configuration: the issuers, and their rules for each service of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from pierhead.boot import config_claims as claims
from pierhead.boot import config_values as values
from pierhead.boot.config_faults import Faults, Path, Wrong, did_you_mean
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_rules import is_ca
from pierhead.boot.config_shape import TopShape, TrustRuleShape, TrustShape
from pierhead.boot.settings import TrustSettings
from pierhead.domain.access import Right, Rule
from pierhead.domain.catalogue import Catalogue
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.trust import TrustRule, Wanted

_RULES_MAX: Final = 5_000
Lines = Mapping[Path, int]


def trusted(
    top: TopShape, catalogue: Catalogue, repositories: Mapping[str, object], faults: Faults, lines: Lines
) -> dict[str, TrustSettings]:
    """The issuers. ``repositories`` are all of the file, faulty ones too."""
    made: dict[str, TrustSettings] = {}
    owners: dict[str, str] = {}
    for text, value in top.trust.items():
        path: Path = ("trust", text)
        name = fit_value(_issuer_name, text, path, faults)
        shape = fit(TrustShape, value, path, faults, lines)
        if name is None or shape is None:
            continue
        if (other := owners.setdefault(shape.issuer, name)) != name:
            faults.add((*path, "issuer"), f"is trusted under `{other}` already. Put the rules together.", shape.issuer)
        for key, empty in (("rules", not shape.rules), ("algorithms", not shape.algorithms)):
            if empty:
                faults.add((*path, key), "is empty.")
        if shape.ca is not None and not is_ca(shape.ca):
            faults.add((*path, "ca"), "holds no certificate in PEM form.", str(shape.ca))
        written = _Written(path, catalogue, repositories, faults, lines)
        made[name] = TrustSettings(
            name=name,
            issuer=shape.issuer,
            audiences=shape.audience,
            jwks=shape.jwks,
            ca=shape.ca,
            algorithms=shape.algorithms,
            leeway_seconds=shape.leeway,
            fresh_for_seconds=shape.fresh_for,
            rules=tuple(rule for at, one in enumerate(shape.rules) for rule in written.rules(at, one)),
        )
    if sum(len(one.rules) for one in made.values()) > _RULES_MAX:
        faults.add(("trust",), f"comes to more than {_RULES_MAX} rules, one for each service counted.")
    return made


def _issuer_name(value: str) -> str:
    try:
        return values.stage_name(value)
    except Wrong:
        raise Wrong("cannot be an issuer: lower-case letters and digits, with . _ or - between them.") from None


class _Written(Struct, frozen=True):
    """Rules of one issuer as the file has them."""

    path: Path
    catalogue: Catalogue
    repositories: Mapping[str, object]
    faults: Faults
    lines: Lines

    def rules(self, at: int, value: object) -> Iterator[TrustRule]:
        """One for each service that has what the rule says of a service; a single one if it says nothing of any."""
        path: Path = (*self.path, "rules", at)
        shape = fit(TrustRuleShape, value, path, self.faults, self.lines)
        if shape is None:
            return
        self._check(path, shape)
        name = shape.name or f"trust.{self.path[-1]}.rules[{at}]"
        asked = _placeholders(shape)
        if not asked:
            yield _rule(name, shape, {})
            return
        fitting = 0
        for service in self.catalogue.values():
            known = {f"service.{key}": str(getattr(service, key)) for key in claims.OF_SERVICE}
            if all(known[key] for key in asked):
                fitting += 1
                yield _rule(f"{name} ({service.name})", shape, known)
        if not fitting:
            missing = ", ".join(sorted(asked))
            self.faults.add(path, f"stands for no service: none of `services` has {missing}.")

    def _check(self, path: Path, shape: TrustRuleShape) -> None:
        if not shape.rights:
            self.faults.add((*path, "rights"), "is empty. Give at least one right.")
        changing = [right.value for right in shape.rights if right not in (Right.PULL, Right.REPORT_RUNNING)]
        for key in ("repositories", "images"):
            if changing and not self.faults.written((*path, key)):
                self.faults.add(path, f"lacks `{key}`: a rule that gives {changing[0]} says where.")
        for pattern in shape.repositories:
            if "*" not in pattern and pattern not in self.repositories:
                hint = did_you_mean(pattern, self.repositories)
                self.faults.add((*path, "repositories"), f"is no repository of this file.{hint}", pattern)


def _placeholders(shape: TrustRuleShape) -> set[str]:
    texts = [*shape.images, *(text for one in shape.claims for text in one.values)]
    return {name for text in texts for name in claims.PLACEHOLDER.findall(text)}


def _rule(name: str, shape: TrustRuleShape, known: Mapping[str, str]) -> TrustRule:
    def filled(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(claims.PLACEHOLDER.sub(lambda found: known[found[1]], text) for text in texts)

    wanted = (*(Wanted(one.path, filled(one.values)) for one in shape.claims), *shape.like)
    rule = Rule(
        frozenset(shape.rights),
        repositories=Patterns(shape.repositories),
        images=Patterns(filled(shape.images)),
        tags=TagPatterns(shape.tags),
    )
    return TrustRule(name, wanted, rule)
