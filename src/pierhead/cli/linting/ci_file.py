"""YAML files of pipelines: images and services of jobs, their variables, and the lines of their scripts.

The file is composed and never constructed, so tags such as ``!reference`` mean nothing and break nothing, and every
node knows its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pierhead.cli.linting import secrets
from pierhead.cli.linting.commands import Script
from pierhead.cli.linting.findings import UNREADABLE, WARNING, Finding
from pierhead.cli.linting.reference import House, split
from pierhead.cli.linting.scripts import joined, script_lines
from pierhead.cli.linting.variables import resolved, shown

_SCRIPTS: Final = frozenset({"script", "before_script", "after_script", "run", "commands"})
_OF_CATALOGUE: Final = frozenset({"project_id", "repository_id"})
"""Beside these an image is that of a service in a catalogue, and not what a job runs in."""
_DEPTH_MAX: Final = 40
_NODES_MAX: Final = 100_000
_NAME_OF_IMAGE: Final = ("IMAGE_NAME", "IMAGE")


def ci_file(text: str, house: House, known: dict[str, str]) -> Iterator[Finding]:
    """Everything that one file has; what other files bring in is not fetched."""
    try:
        documents = _documents(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "cannot be read").split())
        yield Finding(UNREADABLE, f"Not YAML: {shown(problem)}.", line=1 if mark is None else mark.line + 1)
        return
    except (YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError, AssertionError):
        # The parser is one author's pure Python; whatever it stumbles over is the file's fault and never a traceback.
        yield Finding(UNREADABLE, "Not YAML that can be read.", line=1)
        return
    for document in documents:
        yield from _File(text, house).whole(document, known)


def _documents(text: str) -> list[Node]:
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _DEPTH_MAX
    yaml.composer.warn_double_anchors = False
    found: Iterator[Node | None] = yaml.compose_all(text)
    return [node for node in found if node is not None]


class _File:
    """One document. Nodes that aliases repeat are looked at once, where they stand."""

    def __init__(self, text: str, house: House) -> None:
        self._lines = text.splitlines()
        self._house = house
        self._seen: set[int] = set()

    def whole(self, root: Node, known: Mapping[str, str]) -> Iterator[Finding]:
        yield from self._mapping(root, dict(known), "")

    def _mapping(self, node: Node, known: dict[str, str], above: str) -> Iterator[Finding]:
        if id(node) in self._seen or len(self._seen) > _NODES_MAX:
            return
        self._seen.add(id(node))
        if isinstance(node, SequenceNode):
            for item in node.value:
                yield from self._mapping(item, known, above)
            return
        if not isinstance(node, MappingNode):
            return
        entries = [(str(key.value), value) for key, value in node.value if isinstance(key, ScalarNode)]
        mine = {**known, **_variables(dict(entries).get("variables"))}
        scripts = Script(self._house, dict(mine))
        for key, value in sorted(entries, key=lambda entry: entry[0] in _SCRIPTS and entry[0] != "before_script"):
            if key == "variables" and isinstance(value, MappingNode):
                yield from self._variables(value, mine)
            elif key == "image":
                if not _OF_CATALOGUE.intersection(name for name, _ in entries):
                    yield from self._image(value, mine)
            elif key == "services" and isinstance(value, SequenceNode):
                for item in value.value:
                    yield from self._image(item, mine)
            elif key in _SCRIPTS:
                yield from self._script(value, scripts)
            elif isinstance(value, ScalarNode):
                yield from self._at(value, secrets.assigned(key, _text(value)))
                yield from self._at(value, secrets.in_line(_text(value)))
            else:
                yield from self._mapping(value, mine, key)

    def _variables(self, node: MappingNode, known: Mapping[str, str]) -> Iterator[Finding]:
        for key, value in node.value:
            name, text = str(key.value), _value_of(value)
            if text is None:
                continue
            yield from self._at(key, secrets.assigned(name, text))
            yield from self._at(key, secrets.in_line(text))
            if any(name == one or name.endswith(f"_{one}") for one in _NAME_OF_IMAGE):
                image = resolved(text, known)
                if split(image).image:
                    yield from self._at(key, _names(self._house, image))

    def _image(self, node: Node, known: Mapping[str, str]) -> Iterator[Finding]:
        """A name, or a mapping that has one."""
        if isinstance(node, MappingNode):
            node = next((value for key, value in node.value if key.value == "name"), node)
        if isinstance(node, ScalarNode) and _text(node):
            yield from self._at(node, self._house.pulled(resolved(_text(node), known)))

    def _script(self, node: Node, script: Script) -> Iterator[Finding]:
        """One line, a block of them, or a list of both; lists in lists come from ``!reference``."""
        if isinstance(node, SequenceNode):
            if str(node.tag) != "!reference":
                for item in node.value:
                    yield from self._script(item, script)
        elif isinstance(node, ScalarNode):
            lines = [(node.start_mark.line + 1, _text(node))]
            if node.style in ("|", ">"):
                first, last = node.start_mark.line + 1, node.end_mark.line
                lines = [(at + 1, self._lines[at]) for at in range(first, min(last, len(self._lines)))]
                if node.style == ">":
                    lines = [(first + 1, " ".join(line.strip() for _, line in lines))]
            yield from script_lines(list(joined(lines)), script)

    @staticmethod
    def _at(node: Node, found: Iterator[Finding]) -> Iterator[Finding]:
        for one in found:
            yield replace(one, line=node.start_mark.line + 1)


def _names(house: House, image: str) -> Iterator[Finding]:
    """A variable holds a name without a port as well; whether it is pushed or pulled is not known here."""
    for one in house.bare_name(image):
        if one.rule and one.severity != WARNING:
            yield one


def _text(node: ScalarNode) -> str:
    return str(node.value)


def _value_of(node: Node) -> str | None:
    """Of a variable, which may be a mapping with ``value``."""
    if isinstance(node, MappingNode):
        node = next((value for key, value in node.value if key.value == "value"), node)
    return _text(node) if isinstance(node, ScalarNode) else None


def _variables(node: Any) -> dict[str, str]:
    if not isinstance(node, MappingNode):
        return {}
    found = {str(key.value): _value_of(value) for key, value in node.value}
    return {name: value for name, value in found.items() if value is not None}
