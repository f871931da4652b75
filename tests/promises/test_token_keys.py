"""Tokens hold in every worker and on every node that has the same keys, and keys change without anybody noticing."""

from __future__ import annotations

import json
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.images import image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.promises.bearers import Bearer, challenge_of
from tests.promises.houses import DEV, hosted_only, worker_behind, workers_of

TARGET = "/v2/team/app/manifests/1"
SCOPE = "repository:team/app:pull"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(hosted_only(), arguments=["--workers", "2"]) as started:
        wait_until(lambda: len(workers_of(started)) == 2, 15, "two workers")
        with started.wire(DEV) as wire:
            wire.push("team/app", "1", image(seed=1))
        yield started


def on_both(server: Pierhead) -> dict[int, Bearer]:
    """A client on a connection to each worker."""
    found: dict[int, Bearer] = {}

    def one_more() -> bool:
        client = Bearer(server, DEV, "svc-orchestrator")
        client.request("GET", "/v2/")
        found.setdefault(worker_behind(server, client.wire), client)
        return len(found) == 2

    wait_until(one_more, 20, "connections to both workers")
    return found


def keys_of(server: Pierhead) -> set[str]:
    return {path.stem for path in (server.data / "keys").glob("*.json")}


def test_a_token_of_one_worker_opens_the_other(server: Pierhead) -> None:
    one, two = on_both(server).values()
    for maker, user in ((one, two), (two, one)):
        user.token = maker.take(SCOPE)
        user.request("GET", TARGET).expect(200)


def test_keys_are_files_for_their_owner_only(server: Pierhead) -> None:
    folder = server.data / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len(keys_of(server)) == 1


def test_after_a_theft_no_token_holds_any_more_in_any_worker_and_new_ones_do(server: Pierhead) -> None:
    clients = list(on_both(server).values())
    before = clients[0].take(SCOPE)
    clients[1].token = before
    old = keys_of(server)
    code, out, _ = server.run_command("admin", "rotate-keys", "--drop-old", "--data", str(server.data), "-o", "json")
    assert (code, json.loads(out)["dropped_old"]) == (0, True)
    assert not keys_of(server) & old
    assert next(iter(keys_of(server))) in out
    for client in clients:
        wait_until(lambda client=client: client.request("GET", "/v2/").status == 401, 20, "the end of old tokens")  # type: ignore[misc]
        assert challenge_of(client.request("GET", TARGET))["error"] == "invalid_token"
    token = clients[0].take(SCOPE)
    for client in clients:
        client.token = token
        client.request("GET", TARGET).expect(200)


@pytest.mark.slow
def test_a_rotation_interrupts_nobody(server: Pierhead) -> None:
    """Until the new key signs, and after: every token that was ever taken holds, in both workers."""
    clients = list(on_both(server).values())
    old = keys_of(server)
    assert server.run_command("admin", "rotate-keys", "--data", str(server.data))[0] == 0
    (new,) = keys_of(server) - old
    taken: dict[str, str] = {}
    deadline = time.monotonic() + 60
    while len(taken) < 2 and time.monotonic() < deadline:
        for maker in clients:
            token = maker.take(SCOPE)
            taken.setdefault(token.split(".", maxsplit=1)[0], token)
            for user in clients:
                for one in taken.values():
                    user.token = one
                    user.request("GET", TARGET).expect(200)
    assert len(taken) == 2, "the new key signs by now"
    assert keys_of(server) == {*old, new}


def test_nodes_that_share_their_keys_take_each_others_tokens(server: Pierhead, tmp_path: Path) -> None:
    """As they will over one database: here each has its own, with the same content."""
    with Pierhead(hosted_only(), tmp_path / "other") as other:
        with other.wire(DEV) as wire:
            wire.push("team/app", "1", image(seed=1))
        with Bearer(server, DEV, "svc-orchestrator") as here, Bearer(other, DEV, "svc-orchestrator") as there:
            there.token = here.take(SCOPE)
            assert challenge_of(there.request("GET", TARGET).expect(401))["error"] == "invalid_token"
            other.stop()
            shutil.rmtree(other.data / "keys")
            shutil.copytree(server.data / "keys", other.data / "keys")
            other.start()
            there.wire.close()
            there.request("GET", TARGET).expect(200)
            here.token = there.take(SCOPE)
            here.request("GET", TARGET).expect(200)
            services = {challenge_of(client.wire.request("GET", "/v2/"))["service"] for client in (here, there)}
            assert len(services) == 1
