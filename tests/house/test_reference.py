"""The reference says what the code does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.reference import FOLDER, PARTS
from tests.house.tree import ROOT


@pytest.mark.parametrize("name", sorted(PARTS))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    path = FOLDER / name
    # In a process of its own: click keeps what --help is called where a command was first asked, in whatever test.
    show = "import sys; from tests.house.reference import FOLDER, whole; print(whole(FOLDER / sys.argv[1]), end='')"
    done = subprocess.run([sys.executable, "-c", show, name], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert path.read_text() == done.stdout, done.stderr or "write it anew: python -m tests.house.reference"
