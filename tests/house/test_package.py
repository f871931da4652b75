"""What is installed is what stands here: locked versions, and a wheel that lacks nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import ROOT, SOURCE, at, listed, project_files

_PIN = re.compile(r"^([a-z0-9.\-]+)==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    """A package's name as indexes compare it (PyPA, name normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> dict[str, str]:
    """The versions that requirements/<name>.txt pins, by package."""
    return {
        normal(package): version
        for package, version in _PIN.findall((ROOT / "requirements" / f"{name}.txt").read_text())
    }


def wanted(lines: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0]) for line in lines}


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert wanted(project["project"]["dependencies"]) <= locked("run").keys()
    assert wanted(project["dependency-groups"]["build"]) <= locked("run").keys()
    assert wanted(project["dependency-groups"]["dev"]) <= locked("dev").keys()


def test_the_two_locks_agree_where_they_overlap() -> None:
    run, dev = locked("run"), locked("dev")
    assert {name: run[name] for name in run.keys() & dev.keys()} == {
        name: dev[name] for name in run.keys() & dev.keys()
    }


@pytest.mark.parametrize("name", ["run", "dev"])
def test_locks_hold_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=\S)", text)
    found = [block.splitlines()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
    assert not found, listed(found, "without a hash, whoever answers for the index decides what is installed:")
    assert "://" not in text, "an address in a lock binds everybody to one mirror"
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), "options of pip belong to the machine"


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """`pip install pierhead` has to give what a checkout gives: a missing .sql or page shows only there."""
    tree = tmp_path / "tree"
    for path in project_files():
        if SOURCE in path.parents or path.name in {"pyproject.toml", "LICENSE", "README.md"}:
            (tree / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tree / path.relative_to(ROOT))
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    here = {path for path in project_files() if SOURCE in path.parents}
    found = [at(path) for path in here if str(path.relative_to(SOURCE.parent)) not in packed]
    assert not found, listed(found, "not in the wheel; add the kind of file to package-data in pyproject.toml:")
