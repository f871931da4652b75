from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.dishonest_upstream import DishonestUpstream
from tests.repositories.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Afterwards, no part of a fill is left behind."""
    opened = await House.open(tmp_path)
    yield opened
    await opened.close()
    assert list((tmp_path / "fills").iterdir()) == []


@pytest.fixture
async def upstream() -> AsyncIterator[DishonestUpstream]:
    async with DishonestUpstream() as double:
        yield double
