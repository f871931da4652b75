"""Who may import whom. The rules stand in pyproject.toml; here they are run, and shown to bite."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, SOURCE

_LINT = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in `folder`/src with the settings of `folder`."""
    command = [sys.executable, "-c", _LINT, "--no-cache"]
    environment = {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_imports_go_only_where_the_arrows_point() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# What is planted where, and the rule that this breaks.
PLANTED = (
    ("domain/planted.py", "import time", "domain, ports and commits are pure"),
    ("commits/planted.py", "import apsw", "domain, ports and commits are pure"),
    ("domain/planted.py", "import pierhead.ports", "layers"),
    ("utils/__init__.py", "", "layers"),
    ("actions/push_blob.py", "import pierhead.ports.upstream", "a push never talks to an upstream"),
    ("actions/push_manifest.py", "import pierhead.repositories.fill", "a push never talks to an upstream"),
    ("actions/pull_blob.py", "import pierhead.actions.push_blob", "adapters are strangers, and so are verbs"),
    ("adapters/system/planted.py", "import pierhead.adapters.files", "adapters are strangers, and so are verbs"),
    ("adapters/files/planted.py", "import pierhead.commits", "adapters know ports and domain only"),
    ("commits/planted.py", "import pierhead.ports.blobs", "a transaction touches rows and nothing else"),
    ("faces/v2/planted.py", "import pierhead.faces.rest", "faces meet only at the door"),
    ("cli/planted.py", "import pierhead.adapters", "the command line speaks REST"),
)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of a copy of the package with everything planted in it, by the rule's name."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(SOURCE, folder / "src" / "pierhead", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for place, statement, _ in PLANTED:
        planted = folder / "src" / "pierhead" / place
        planted.parent.mkdir(exist_ok=True)
        with planted.open("a") as file:
            file.write(f"\n{statement}\n")
    done = lint_imports(folder)
    assert done.returncode != 0
    _, _, said = done.stdout.partition("Broken contracts")
    titles = list(re.finditer(r"^(\S.*)\n-+$", said, re.MULTILINE))
    ends = [title.start() for title in titles[1:]] + [len(said)]
    return {title[1]: said[title.end() : end] for title, end in zip(titles, ends, strict=True)}


@pytest.mark.parametrize(("place", "statement", "rule"), PLANTED)
def test_a_planted_violation_is_reported(place: str, statement: str, rule: str, complaints: dict[str, str]) -> None:
    """A contract that names nothing any more would hold for ever; this shows that these do not."""
    module = ".".join(Path(place).with_suffix("").parts).removesuffix(".__init__")
    imported = statement.removeprefix("import ")
    (complaint,) = (text for title, text in complaints.items() if title.startswith(rule))
    if not imported:
        assert module in complaint
        return
    found = re.search(rf"pierhead\.{re.escape(module)} -> {re.escape(imported)} ", complaint)
    assert found, f"{module}: {statement} is not among the complaints:{complaint}"
