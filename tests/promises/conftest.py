"""The ground that the promises are tried on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.peers.pierhead import Pierhead
from tests.peers.processes import LOOPBACK
from tests.promises.ground import CONFIG, ENVIRONMENT, Ground


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A program of this module's own, with known content in it."""
    with Pierhead(CONFIG, environment=ENVIRONMENT) as server, socket.create_server((LOOPBACK, 0)) as trap:
        made = Ground(server, trap)
        made.furnish()
        yield made
        made.close()


@pytest.fixture
def unharmed(ground: Ground) -> Iterator[Ground]:
    """The ground; afterwards everything that was there reads back, and nothing is left of what was refused."""
    yield ground
    ground.unharmed()
