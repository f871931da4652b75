"""`naming` of the configuration: rules for names of images, over the catalogue of `services`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pierhead.boot.config_faults import Faults, Path, did_you_mean
from pierhead.boot.config_fit import fit
from pierhead.boot.config_shape import NamingShape, TopShape
from pierhead.domain import limits
from pierhead.domain.catalogue import Catalogue
from pierhead.domain.names import ImageName
from pierhead.domain.naming import IMAGE, OF_SERVICE, PLACEHOLDER, SUGGESTION, Action, NamingRule
from pierhead.domain.patterns import Patterns
from pierhead.domain.refusals import NameInvalid

Lines = Mapping[Path, int]


def naming_of(
    top: TopShape, catalogue: Catalogue, repositories: Mapping[str, object], faults: Faults, lines: Lines
) -> tuple[NamingRule, ...]:
    """The rules in their order. ``repositories`` are all of the file, faulty ones too."""
    if len(top.naming) > limits.NAMING_RULES_MAX:
        faults.add(("naming",), f"has more than {limits.NAMING_RULES_MAX} rules.")
    made: list[NamingRule] = []
    names: set[str] = set()
    for at, value in enumerate(top.naming):
        path: Path = ("naming", at)
        shape = fit(NamingShape, value, path, faults, lines)
        if shape is None:
            continue
        name = shape.name or f"naming[{at}]"
        if name in names:
            faults.add((*path, "name"), "is the name of another rule already.", name)
        names.add(name)
        _check(path, shape, catalogue, repositories, faults)
        made.append(
            NamingRule(
                name=name,
                patterns=shape.pattern,
                near=shape.near or 0,
                action=Action(shape.action),
                message=shape.message,
                suggestion=shape.suggestion,
                hint=shape.hint,
                repositories=Patterns(shape.repositories),
            )
        )
    return tuple(made)


def _check(
    path: Path, shape: NamingShape, catalogue: Catalogue, repositories: Mapping[str, object], faults: Faults
) -> None:
    words = set.intersection(*(set(one.words) for one in shape.pattern))
    for key, said, known in (
        ("message", shape.message, {IMAGE, *words}),
        ("suggestion", shape.suggestion, words),
        ("hint", shape.hint, {IMAGE, SUGGESTION, *OF_SERVICE, *words}),
    ):
        _check_placeholders((*path, key), said, known, faults)
    if shape.suggestion and not makes_a_name(shape.suggestion):
        faults.add((*path, "suggestion"), "makes no image's name: lower-case letters and digits.", shape.suggestion)
    if shape.near and shape.suggestion:
        faults.add((*path, "suggestion"), "has no use beside `near`: the name from the catalogue is suggested.")
    about_services = "near" if shape.near else "pattern" if any("service" in one.words for one in shape.pattern) else ""
    if about_services and not catalogue and not faults.written(("services",)):
        faults.add((*path, about_services), "is about names in the catalogue, and there are no `services`.")
    if not any(faults.written((*path, key)) for key in ("pattern", "near")):
        faults.add(path, "lacks `pattern` or `near`: which names it is about.")
    for pattern in shape.repositories:
        if "*" not in pattern and pattern not in repositories:
            hint = did_you_mean(pattern, repositories)
            faults.add((*path, "repositories"), f"is no repository of this file.{hint}", pattern)


def makes_a_name(suggestion: str) -> bool:
    """Whether a suggestion is an image's name once its words are filled in."""
    try:
        ImageName.parse(PLACEHOLDER.sub("x", suggestion))
    except NameInvalid:
        return False
    return True


def _check_placeholders(path: Path, said: str, known: Collection[str], faults: Faults) -> None:
    unknown = [name for name in PLACEHOLDER.findall(said) if name not in known]
    if unknown:
        told = _listed(known) or "none, since the pattern has none"
        faults.add(path, f"holds {{{unknown[0]}}}, which stands for nothing here. Known: {told}.", said)
    elif "{" in PLACEHOLDER.sub("", said) or "}" in PLACEHOLDER.sub("", said):
        faults.add(path, "holds a brace that is not closed.", said)


def _listed(known: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(known))
