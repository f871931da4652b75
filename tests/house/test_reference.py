"""The reference says what the code does."""

from __future__ import annotations

import pytest

from tests.house.reference import FOLDER, PARTS, whole


@pytest.mark.parametrize("name", sorted(PARTS))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    path = FOLDER / name
    assert path.read_text() == whole(path), "write it anew: python -m tests.house.reference"
