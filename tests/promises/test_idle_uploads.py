"""Upload sessions that nobody goes on with: counted while they are open, and gone after the time of the setting."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.promises.houses import DEV, hosted_only

pytestmark = pytest.mark.server


@pytest.fixture(params=[1, 2], ids=["one-process", "two-workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Pierhead]:
    config = hosted_only(reclaim={"uploads": "5s", "every": "1s"})
    with Pierhead(config, arguments=["--workers", str(request.param)]) as started:
        yield started


def test_sessions_that_hold_nothing_yet_are_counted_and_end_after_the_time_of_the_setting(server: Pierhead) -> None:
    """With one process they have no row, and count and end as those that have one."""
    with server.wire(DEV) as wire:
        locations = [wire.upload_start("idle/app") for _ in range(3)]
    with server.wire() as wire:
        text = wire.request("GET", "/metrics").expect(200).body.decode()
        assert re.search(r"^pierhead_uploads 3(\.0)?$", text, re.MULTILINE)
        assert wire.request("GET", "/api/v1/status").expect(200).json()["storage"]["uploads"] == 3
    with server.wire(DEV) as wire:
        for location in locations:
            wait_until(lambda: wire.request("GET", location).status == 404, 60, "the session is over")  # noqa: B023
