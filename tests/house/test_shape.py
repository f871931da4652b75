"""One place for each thing: no dead files, adapters that are held to their port, tests that can be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.tree import SOURCE, at, listed, nodes, python_files, text_of

# Files that something other than an import reaches.
_ENTRANCES = {"pierhead.__main__", "pierhead.cli.main", "pierhead.cli.credential_helper"}
_WORDS_MIN = 3


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path) -> set[str]:
    """Names of modules, and of what stands in them, that a file imports."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_file_of_the_package_is_used_by_another() -> None:
    files = python_files("src")
    used = {(name, module_of(path)) for path in files for name in imported_by(path)}
    # A table of commands or pages may name a module in a string and import it when it is needed.
    named = {text for path in files for text in re.findall(r"[\"'](pierhead\.[\w.]+)", text_of(path) or "")}
    found = []
    for path in files:
        module = module_of(path)
        if path.name == "__init__.py" or module in _ENTRANCES or module in named:
            continue
        if not any(name == module and importer != module for name, importer in used):
            found.append(at(path))
    assert not found, listed(found, "nobody imports these; a file that only tests use is not part of the program:")


def methods_of(node: ast.ClassDef) -> set[str]:
    functions = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if not function.name.startswith("_")}


def ports() -> dict[str, set[str]]:
    """Protocols of ports/ and their verbs."""
    found = {}
    for path in python_files("src/pierhead/ports"):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
                found[node.name] = methods_of(node)
    return {name: verbs for name, verbs in found.items() if verbs}


def test_every_adapter_of_a_port_is_tried_against_the_contract_of_that_port() -> None:
    """A folder of adapters/ in which a public class keeps a port is imported by a test of tests/contracts."""
    tried = {name for path in python_files("tests/contracts") for name in imported_by(path)}
    contracts, found = ports(), []
    for folder in sorted(path.parent for path in python_files("src/pierhead/adapters") if path.name == "__init__.py"):
        package = module_of(folder / "__init__.py")
        kept = {port for path in folder.rglob("*.py") for port in ports_kept_in(path, contracts)}
        if (
            folder.parent.name == "adapters"
            and kept
            and not any(f"{name}.".startswith(f"{package}.") for name in tried)
        ):
            found.append(f"{at(folder)}: {', '.join(sorted(kept))}")
    assert not found, listed(found, "an adapter that no test in tests/contracts imports may break the port's words:")


def ports_kept_in(path: Path, contracts: dict[str, set[str]]) -> set[str]:
    """The ports whose verbs a public class in this file has, all of them."""
    classes = [node for node in nodes(path) if isinstance(node, ast.ClassDef)]
    owned = [methods_of(node) for node in classes if not node.name.startswith("_")]
    return {name for name, verbs in contracts.items() if any(verbs <= own for own in owned)}


def test_names_of_tests_are_sentences() -> None:
    found = []
    for path in python_files("tests"):
        for node in nodes(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            if len(node.name.removeprefix("test_").split("_")) < _WORDS_MIN:
                found.append(f"{at(path, node.lineno)}: {node.name}")
    assert not found, listed(found, "a list of failed tests has to tell what is broken:")
