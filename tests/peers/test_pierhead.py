"""The program as a fixture: it starts, tells where it is, survives what tests do to it, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import PeerFailed


def test_the_program_answers_on_each_of_its_ports_without_credentials(pierhead: Pierhead) -> None:
    assert [pierhead.health(name) for name in ("main", "docker-hosted-dev", "docker-group")] == [200, 200, 200]


def test_a_publisher_pushes_and_a_deployer_pulls_the_same_bytes(pierhead: Pierhead) -> None:
    pushed = image(seed=1)
    with pierhead.wire("docker-hosted-dev", "svc-orchestrator") as publisher:
        publisher.push("peers/first", "1.0.0", pushed)
    with pierhead.wire("docker-group", "svc-deploy") as deployer:
        assert deployer.get_manifest("peers/first", "1.0.0").expect(200).body == pushed.manifest.data
        assert deployer.get_blob("peers/first", pushed.layers[0].digest).expect(200).body == pushed.layers[0].data


def test_what_was_pushed_is_there_after_a_restart_and_after_a_kill(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    password, pushed = server.admin_password, image(seed=2)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("peers/kept", "1", pushed)
    server.restart()
    server.kill()
    server.start()
    assert server.admin_password == password
    with server.wire("docker-group") as wire:
        assert wire.get_manifest("peers/kept", "1").expect(200).body == pushed.manifest.data


def test_a_file_that_the_program_cannot_accept_shows_in_the_failure(start_pierhead: StartPierhead) -> None:
    with pytest.raises(PeerFailed, match=r"(?s)ended with 2 .*no_such_key"):
        start_pierhead(house(no_such_key=1))
