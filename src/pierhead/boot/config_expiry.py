"""`expiry` of the configuration: how long what was deleted is kept, and what goes by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pierhead.boot.config_faults import Faults, Path, did_you_mean
from pierhead.boot.config_fit import fit
from pierhead.boot.config_shape import ExpiryRuleShape, TopShape
from pierhead.boot.settings import ExpirySettings, HostedSettings, RepositorySettings, Stage
from pierhead.domain.expiry import Rule, Rules
from pierhead.domain.names import RepositoryName
from pierhead.domain.patterns import Patterns, TagPatterns
from pierhead.domain.policy import WritePolicy

Lines = Mapping[Path, int]

_SECOND: Final = 1_000_000
_RULES_MAX: Final = 100
_KINDS: Final = "Say `tags` with unused, older, newest or keep; or `untagged`; or `build_caches`."


def expiry_of(
    top: TopShape,
    known: Mapping[RepositoryName, RepositorySettings],
    named: Mapping[str, object],
    stages: Sequence[Stage],
    faults: Faults,
    lines: Lines,
) -> ExpirySettings:
    """``known`` are the repositories that could be read, ``named`` all of the file."""
    rules: dict[RepositoryName, Rules] = {}
    later = {stage.repository: stage.name for stage in stages[1:]}
    for text, value in top.expiry.repositories.items():
        path: Path = ("expiry", "repositories", text)
        name = RepositoryName(text)
        if text not in named:
            faults.add(path, f"is no repository of this file.{did_you_mean(text, named)}")
            continue
        if name in known:
            _check_place(known[name], later.get(name), path, faults)
        if not isinstance(value, list) or not value or len(value) > _RULES_MAX:
            faults.add(path, f"must be a list of 1 to {_RULES_MAX} rules, such as [{{tags: [branch-*], unused: 14d}}].")
            continue
        rules[name] = _rules(value, path, faults, lines)
    shape = top.expiry
    return ExpirySettings(keep_deleted_seconds=shape.keep_deleted, every_seconds=shape.every, rules=rules)


def _check_place(repository: RepositorySettings, stage: str | None, path: Path, faults: Faults) -> None:
    """What is promoted never goes by a rule, and what a proxy keeps is not pushed here."""
    if not isinstance(repository, HostedSettings):
        faults.add(path, "is no hosted repository: there is nothing that a rule could be about.")
    elif repository.write_policy is not WritePolicy.ALLOW:
        faults.add(path, f"has the write policy {repository.write_policy.value}: what is in it never goes by a rule.")
    elif stage is not None:
        faults.add(path, f"is the stage {stage}: what was promoted never goes by a rule.")


def _rules(value: Sequence[object], path: Path, faults: Faults, lines: Lines) -> Rules:
    found: list[Rule] = []
    caches: int | None = None
    for at, one in enumerate(value):
        where: Path = (*path, at)
        shape = fit(ExpiryRuleShape, one, where, faults, lines)
        if shape is None or not isinstance(one, dict) or set(one) != shape.model_fields_set:
            continue  # what is wrong with it is said
        if not _is_one(shape, where, faults):
            continue
        if shape.build_caches is not None:
            if caches is not None:
                faults.add((*where, "build_caches"), "stands in this list a second time.")
            caches = shape.build_caches
            continue
        rule = _rule(shape)
        if rule in found:
            faults.add(where, "has a rule that says the same as one before it.")
        found.append(rule)
    return Rules(tuple(found), caches)


def _is_one(shape: ExpiryRuleShape, path: Path, faults: Faults) -> bool:
    """Each rule is of one kind, and a rule about tags says when they go."""
    conditions = [shape.unused, shape.older, shape.newest]
    some = any(one is not None for one in conditions)
    kinds = [shape.tags is not None, shape.untagged is not None, shape.build_caches is not None]
    if sum(kinds) != 1:
        faults.add(path, f"has a rule that is {'none' if not any(kinds) else 'several in one'}. {_KINDS}")
        return False
    if shape.tags is None and (some or shape.keep):
        faults.add(path, "has a rule with conditions that only one with `tags` has.")
        return False
    if shape.tags is not None and not shape.tags:
        faults.add((*path, "tags"), "is empty.")
        return False
    if shape.tags is not None and shape.keep is some:
        wrong = "that says `keep` and when they go" if some else "about tags without unused, older, newest or keep"
        faults.add(path, f"has a rule {wrong}.")
        return False
    if shape.build_caches is not None and shape.images != ("*",):
        faults.add((*path, "images"), "is not taken here: build caches of a repository are counted together.")
        return False
    return True


def _rule(shape: ExpiryRuleShape) -> Rule:
    return Rule(
        images=Patterns(shape.images),
        tags=None if shape.tags is None else TagPatterns(shape.tags),
        unused=_micros(shape.unused),
        older=_micros(shape.older),
        newest=shape.newest,
        untagged=_micros(shape.untagged),
        keep=shape.keep,
    )


def _micros(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * _SECOND
