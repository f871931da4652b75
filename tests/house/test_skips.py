"""A test that did not run has to be seen; with CI=true it is a failure. This holds tests/conftest.py to that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

_ONE_TEST = "import pytest\n\ndef test_that_skips_itself() -> None:\n    pytest.skip('no ship in port')\n"
_WHOLE_FILE = "import pytest\n\npytest.skip('no port at all', allow_module_level=True)\n"


def run_pytest(folder: Path, ci: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in `folder` with the project's conftest, as if they were the project's."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "reason"), [(_ONE_TEST, "no ship in port"), (_WHOLE_FILE, "no port at all")], ids=["test", "file"]
)
def test_a_skipped_test_is_named_and_fails_in_ci_only(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(content)
    at_home, in_ci = run_pytest(tmp_path, ""), run_pytest(tmp_path, "true")
    assert "not run: 1" in at_home.stdout
    assert reason in at_home.stdout
    assert at_home.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    assert reason in in_ci.stdout
    assert in_ci.returncode != 0
