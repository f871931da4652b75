"""Files and functions that fit into one head."""

from __future__ import annotations

import ast

from tests.house.tree import at, listed, nodes, python_files, text_of

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def test_no_file_is_longer_than_400_lines() -> None:
    found = []
    for path in python_files("src", "tests", "bench"):
        lines = len((text_of(path) or "").splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{at(path)}: {lines} lines")
    assert not found, listed(found, "a longer file holds a second subject: give that one a file of its own")


def test_no_function_is_longer_than_70_lines() -> None:
    found = []
    for path in python_files("src", "tests", "bench"):
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    found.append(f"{at(path, node.lineno)}: {node.name}, {lines} lines")
    assert not found, listed(
        found, "a function that fills more than a screen hides a decision: ifs go up, loops go down"
    )
