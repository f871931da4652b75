"""YAML 1.2 to plain values, with the line of every key. Size, depth and number of values are bounded.

Aliases are taken; merge keys (``<<``, not part of YAML 1.2) and tags such as ``!vault`` are refused.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct, field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from pierhead.boot.config_faults import ConfigFaults, Path
from pierhead.domain.refusals import shown

BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 16
VALUES_MAX: Final = 50_000

_TAG: Final = "tag:yaml.org,2002:"
_TEXTUAL: Final = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value"})
# JSON and YAML can spell them, UTF-8 cannot, and a file or a database would fail on them much later.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TRUE: Final = frozenset({"true", "yes", "on", "y"})


class Tree(Struct):
    """``root`` holds dicts, lists, str, int, float and bool; ``lines`` has the line of each key and list item.

    ``complaints`` are faults of the writing itself, as (line, path, sentence about the key); what they name is not in
    ``root``, but is in ``lines``.
    """

    root: dict[str, object] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    complaints: list[tuple[int, Path, str]] = field(default_factory=list)


def read_tree(data: bytes, source: str) -> Tree:
    """The bytes of a configuration file as values. Raises ConfigFaults when they are no YAML mapping."""
    if len(data) > BYTES_MAX:
        raise ConfigFaults([f"{source}: is larger than 1 MiB, which no configuration file needs."])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigFaults([f"{source} line {line}: is not UTF-8 text. Save the file as UTF-8."]) from None
    root = _compose(text, source)
    if root is None:
        raise ConfigFaults([f"{source}: holds nothing. Write at least `listen: 127.0.0.1:8081`."])
    if not isinstance(root, MappingNode):
        line = root.start_mark.line + 1
        raise ConfigFaults([f"{source} line {line}: a configuration is a mapping: lines of the form `key: value`."])
    reader = _Reader(source)
    reader.tree.root = reader.mapping(root, ())
    return reader.tree


def _compose(text: str, source: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = DEPTH_MAX
    yaml.composer.warn_double_anchors = False
    try:
        node: Node | None = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigFaults([f"{source} line {line}: holds a control character. Remove it."]) from None
    except MarkedYAMLError as error:
        raise ConfigFaults([_not_yaml(error, source)]) from None
    except (YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError, AssertionError):
        # The parser is one author's pure Python; whatever it stumbles over is the file's fault and never a traceback.
        raise ConfigFaults([f"{source}: is not YAML that can be read."]) from None
    return node


def _not_yaml(error: MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    if "maximum depth" in problem:
        problem = f"values are nested deeper than {DEPTH_MAX}"
    elif "another document" in problem:
        problem = "a second document begins (---)"
    hint = " Indent with spaces." if "\\t" in problem else ""
    return f"{source} line {line}: not YAML: {shown(problem)}.{hint}"


class _Reader:
    """Turns nodes into values; depth and number stay bounded even where aliases repeat or hold themselves."""

    def __init__(self, source: str) -> None:
        self.tree = Tree()
        self._source = source
        self._values = 0

    def mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        """The keys as they are written (``8081: x`` has the key ``"8081"``); the first of two equal ones counts."""
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise ConfigFaults([f"{self._source} line {line}: a key is plain text, and no list or mapping."])
            key = str(key_node.value)
            if not key.isprintable():
                raise ConfigFaults([f"{self._source} line {line}: a key holds a control character. Remove it."])
            here = (*path, key)
            if key_node.tag == _TAG + "merge":
                self._complain(here, line, "is no part of YAML 1.2. Write the keys out.")
            elif here in self.tree.lines:
                first = self.tree.lines[here]
                self._complain(here, line, f"stands here a second time; the first is on line {first}.")
            else:
                self.tree.lines[here] = line
                self._put(values, key, value_node, here)
        return values

    def _put(self, values: dict[str, object], key: str, node: Node, path: Path) -> None:
        value = self._value(node, path)
        if value is not None:
            values[key] = value

    def _value(self, node: Node, path: Path) -> object:
        """None for what was complained about."""
        self._values += 1
        if self._values > VALUES_MAX:
            raise ConfigFaults([f"{self._source}: holds more than {VALUES_MAX} values, aliases counted each time."])
        if len(path) > DEPTH_MAX:
            line = node.start_mark.line + 1
            raise ConfigFaults([f"{self._source} line {line}: values are nested deeper than {DEPTH_MAX}."])
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            items: list[object] = []
            for index, item in enumerate(node.value):
                here = (*path, index)
                self.tree.lines[here] = item.start_mark.line + 1
                items.append(self._value(item, here))
            return None if None in items else items
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._complain(path, self.tree.lines[path], _foreign(str(node.tag)))
        return None

    def _scalar(self, node: ScalarNode, path: Path) -> str | int | float | bool | None:
        text, tag = str(node.value), str(node.tag)
        line = self.tree.lines[path]
        if tag in _TEXTUAL:
            if _SURROGATE.search(text) is None:
                return text
            self._complain(path, line, "holds half a character (\\ud800 to \\udfff). Remove it.")
            return None
        if tag == _TAG + "bool":
            return text.lower() in _TRUE
        if tag not in (_TAG + "int", _TAG + "float"):
            empty = tag == _TAG + "null"
            self._complain(path, line, "has no value. Give it one, or leave the key out." if empty else _foreign(tag))
            return None
        try:
            return float(text) if tag.endswith("float") else int(text, 10 if text.lstrip("+-").isdecimal() else 0)
        except ValueError:
            return text

    def _complain(self, path: Path, line: int, sentence: str) -> None:
        self.tree.complaints.append((line, path, sentence))


def _foreign(tag: str) -> str:
    return f"has the tag {shown(tag)}, which means nothing here."
