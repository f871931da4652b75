"""The files of the project, read once for all house tests."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "pierhead"
_IGNORED_FOLDERS = {".git", ".venv", "build", "dist", "data", "node_modules", "__pycache__"}


@functools.cache
def project_files() -> tuple[Path, ...]:
    """What is tracked, or would be with the next `git add`; without Git, what lies in the folder."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, capture_output=True, check=True).stdout.decode().split("\0")
        found = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if not _IGNORED_FOLDERS & set(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file()))


@functools.cache
def text_of(path: Path) -> str | None:
    """The text of a file; None if it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a Python file, in the order of ``ast.walk``, which takes longer than reading the file."""
    return tuple(ast.walk(parsed(path)))


def python_files(*folders: str) -> list[Path]:
    """Python files of these folders of the project, such as "src" or "tests/house"."""
    roots = [ROOT / folder for folder in folders]
    return [path for path in project_files() if path.suffix == ".py" and any(root in path.parents for root in roots)]


def at(path: Path, line: int | None = None) -> str:
    """path:line from the project's folder, so that an editor can jump there."""
    return str(path.relative_to(ROOT)) + (f":{line}" if line is not None else "")


def text_lines() -> Iterator[tuple[Path, int, str]]:
    """Every line of every text file of the project."""
    for path in project_files():
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1):
            yield path, number, line


def listed(findings: list[str], why: str) -> str:
    """What a failing house test says: the rule's reason, then each place."""
    return why + "\n" + "\n".join(findings)
