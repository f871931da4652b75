"""What becomes of an upload that was begun, and to which nothing was sent, when the server ends."""

from __future__ import annotations

import signal

import pytest

from tests.peers.fixtures import StartPierhead
from tests.peers.images import Blob

pytestmark = pytest.mark.server

DEV = "docker-hosted-dev"
BLOB = Blob(b"a small blob", "application/octet-stream")


def test_a_restart_in_order_loses_no_session(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    with server.wire(DEV) as wire:
        location = wire.upload_start("team/app")
    server.restart()
    with server.wire(DEV) as wire:
        wire.request("PUT", f"{location}?digest={BLOB.digest}", BLOB.data).expect(201)


def test_a_kill_loses_at_most_sessions_without_bytes_and_says_so(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    with server.wire(DEV) as wire:
        bare, begun = wire.upload_start("team/app"), wire.upload_start("team/app")
        wire.request("PATCH", begun, BLOB.data[:5]).expect(202)
    server.signal(signal.SIGKILL)
    server.stop()
    server.start()
    with server.wire(DEV) as wire:
        gone = wire.request("PUT", f"{bare}?digest={BLOB.digest}", BLOB.data).expect(404)
        assert b"BLOB_UPLOAD_UNKNOWN" in gone.body
        wire.request("PUT", f"{begun}?digest={BLOB.digest}", BLOB.data[5:]).expect(201)
        wire.push_blob("team/app", BLOB)
