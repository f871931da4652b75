"""`tags` of the configuration: the strategy, read alone for commands that need nothing else of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec import Struct

from pierhead.boot import config_values as values
from pierhead.boot.config_faults import ConfigFaults, Faults, Path, Wrong, did_you_mean
from pierhead.boot.config_fit import fit, fit_value
from pierhead.boot.config_services import services_of
from pierhead.boot.config_shape import TagRuleShape, TopShape
from pierhead.boot.config_tree import BYTES_MAX, read_tree
from pierhead.domain.catalogue import Catalogue
from pierhead.domain.patterns import Patterns
from pierhead.domain.tagging import BUILT_IN, Strategy, TagRule, placeholders

_WANTED: Final = (("tags",), ("services",))
Lines = Mapping[Path, int]


def strategy(top: TopShape, repositories: Mapping[str, object] | None, faults: Faults, lines: Lines) -> Strategy:
    """The rules of the file, the built-in ones if it has none. ``repositories`` are all of the file, faulty ones too;
    None if they do not matter."""
    if not top.tags:
        if faults.written(("tags",)):
            faults.add(("tags",), "is empty. Leave it out for the built-in strategy.")
        return BUILT_IN
    made: list[TagRule] = []
    for text, value in top.tags.items():
        path: Path = ("tags", text)
        name = fit_value(_rule_name, text, path, faults)
        shape = fit(TagRuleShape, value, path, faults, lines)
        if name is None or shape is None:
            continue
        _check(path, shape, repositories, faults)
        made.append(
            TagRule(
                name=name,
                branch=Patterns(shape.branch),
                merge_request=Patterns(shape.merge_request),
                tag=shape.tag,
                names=shape.names,
                moving=shape.moving,
                once=Patterns(shape.once),
            )
        )
    return Strategy(tuple(made))


def _rule_name(value: str) -> str:
    try:
        return values.stage_name(value)
    except Wrong:
        raise Wrong("cannot be a rule: lower-case letters and digits, with . _ or - between them.") from None


def _check(path: Path, shape: TagRuleShape, repositories: Mapping[str, object] | None, faults: Faults) -> None:
    written = [key for key in ("branch", "merge_request", "tag") if faults.written((*path, key))]
    if not written:
        faults.add(path, "is about nothing. Give one of branch, merge_request and tag.")
    if "tag" in written and len(written) > 1:
        faults.add((*path, "tag"), "cannot stand beside branches: make a rule of its own for Git tags.")
    if not shape.names and not faults.written((*path, "names")):
        faults.add(path, 'lacks `names`, such as ["main-{short_sha}"].')
    elif not shape.names:
        faults.add((*path, "names"), "is empty. Give at least one tag.")
    for at, name in enumerate(shape.names):
        if "version" not in placeholders(name):
            continue
        if "tag" not in written:
            faults.add((*path, "names", at), "holds {version}, and only a Git tag has one: give `tag`.", name)
        elif bad := next((one for one in shape.tag if one.count("*") != 1 or not one.endswith("*")), None):
            told = "must end with its only *, such as v*: what it stands for is the {version}."
            faults.add((*path, "tag"), told, bad)
    for pattern in shape.once:
        if repositories is not None and "*" not in pattern and pattern not in repositories:
            hint = did_you_mean(pattern, repositories)
            faults.add((*path, "once"), f"is no repository of this file.{hint}", pattern)


# --- without the rest of the file ------------------------------------------------------------------------------------


class Release(Struct, frozen=True):
    """What jobs and projects need of a configuration."""

    tags: Strategy
    services: Catalogue


def load_release(path: FilePath) -> Release:
    """`tags` and `services` of the file, or of one that holds nothing else.

    What stands elsewhere in it is not looked at: its certificates and secrets are another machine's. Raises
    ConfigFaults. Blocks.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise ConfigFaults([f"{path}: cannot be read: {reason}."]) from None
    tree = read_tree(content, path.name)
    faults = Faults(path.name, tree.lines)
    for line, where, sentence in tree.complaints:
        if where[:1] in _WANTED:
            faults.add(where, sentence, line=line)
    wanted = {key: tree.root[key] for (key,) in _WANTED if key in tree.root}
    top = fit(TopShape, wanted, (), faults, tree.lines) or TopShape()
    found = Release(strategy(top, None, faults, tree.lines), services_of(top, faults, tree.lines)[0])
    faults.raise_if_any()
    return found
