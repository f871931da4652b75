"""Calls and imports that are not made here, each with what to do instead."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import SOURCE, at, listed, nodes, python_files


@dataclass(frozen=True)
class Ban:
    """`what` are dotted names, of modules or of what stands in them; `allowed` are folders or files of the package."""

    what: tuple[str, ...]
    instead: str
    allowed: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        return any(name == banned or name.startswith(banned + ".") for banned in self.what)

    def allows(self, path: Path) -> bool:
        return any(path == SOURCE / place or SOURCE / place in path.parents for place in self.allowed)


BANS = (
    Ban(
        ("time.time", "time.time_ns", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
        "take a ports.clock.Clock: a test has to be able to say what time it is",
        ("adapters/system",),
    ),
    Ban(
        ("random", "uuid.uuid1", "uuid.uuid4", "secrets", "os.urandom"),
        "take a ports.clock.Entropy: a failing run has to be repeatable, and one place to show that secrets are random",
        ("adapters/system",),
    ),
    Ban(
        ("pickle", "marshal", "shelve", "dill", "cloudpickle"),
        "store JSON or rows: reading these formats runs what is in them, and no other version can read them",
    ),
    Ban(("print", "builtins.print"), "log with a constant message, or let cli print it", ("cli", "__main__.py")),
    Ban(("eval", "exec", "os.system", "os.popen"), "call a function, or a program with a list of arguments"),
    Ban(("dataclasses",), "make it a msgspec.Struct: a data class costs each start a millisecond", ("cli",)),
    Ban(("yaml", "requests", "urllib.request"), "ruamel.yaml keeps line numbers; aiohttp does not block", ("cli",)),
)


def test_nothing_is_called_that_has_a_better_place_here() -> None:
    found = []
    for path in python_files("src"):
        for name, line in names_used(nodes(path)):
            found += [
                f"{at(path, line)}: {name}: {ban.instead}" for ban in BANS if ban.covers(name) and not ban.allows(path)
            ]
    assert not found, listed(found, "these are banned in src:")


def names_used(module: Sequence[ast.AST]) -> Iterator[tuple[str, int]]:
    """Dotted names that a module of these nodes imports or reads, renamed imports resolved, and their lines."""
    meaning = {}
    for node in module:
        if isinstance(node, ast.Import):
            for alias in node.names:
                meaning[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                meaning[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    for node in module:
        if isinstance(node, ast.Attribute | ast.Name):
            first, *rest = dotted(node).split(".")
            # A bare word counts if it was imported, or is a built-in that is called.
            if first in meaning and rest:
                yield ".".join([meaning[first], *rest]), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in meaning:
            yield node.func.id, node.lineno


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression that is just names; "" for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def test_a_banned_call_is_found_under_any_name() -> None:
    planted = """
        import time as clock
        import datetime
        from datetime import datetime as dt
        from uuid import uuid4
        import os.path

        def f():
            clock.time(); dt.now(); datetime.datetime.utcnow(); print("x"); clock.monotonic(); os.urandom(3)
            self.random.choice(); answer.print()
    """
    names = {name for name, _ in names_used(list(ast.walk(ast.parse(textwrap.dedent(planted)))))}
    banned = {name for name in names if any(ban.covers(name) for ban in BANS)}
    assert banned == {
        "time.time",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "uuid.uuid4",
        "print",
        "os.urandom",
    }
