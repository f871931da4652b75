"""Status, repositories, storage, upstreams and reclaim over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pierhead import __version__
from tests.peers.fixtures import StartPierhead, StartRegistry
from tests.peers.images import image
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import wait_until
from tests.peers.wire import Wire

API = "/api/v1"


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(house()) as started:
        yield started


def found(server: Pierhead, path: str, account: str = "admin", method: str = "GET") -> Any:
    with server.wire("main", account) as wire:
        return wire.request(method, API + path).expect(200).json()


def test_status_tells_everybody_where_the_ports_are_and_operators_the_rest(server: Pierhead) -> None:
    told = found(server, "/status")
    assert (told["version"], told["ready"], told["reason"], told["account"]) == (__version__, True, None, "admin")
    assert [(port["repository"], port["listen"]) for port in told["ports"]] == [
        (None, server.address()),
        ("docker-hosted-dev", server.address("docker-hosted-dev")),
        ("docker-group", server.address("docker-group")),
    ]
    assert told["storage"]["repositories"] == 4
    assert 0 < told["storage"]["disk_available_bytes"] <= told["storage"]["disk_bytes"]
    less = found(server, "/status", "svc-deploy")
    assert (less["account"], less["storage"], less["upstreams"], less["warnings"]) == ("svc-deploy", None, None, None)


def test_repositories_are_told_as_the_configuration_has_them(server: Pierhead) -> None:
    items = {item["name"]: item for item in found(server, "/repositories")["items"]}
    assert {name: item["kind"] for name, item in items.items()} == {
        "docker-hosted-dev": "hosted",
        "docker-hosted-uat": "hosted",
        "docker-hosted-prod": "hosted",
        "docker-group": "group",
    }
    assert items["docker-hosted-prod"]["write_policy"] == "ALLOW_ONCE"
    assert items["docker-group"]["members"] == ["docker-hosted-prod", "docker-hosted-uat", "docker-hosted-dev"]
    assert items["docker-group"]["external"] == server.address("docker-group")
    assert found(server, "/repositories/docker-group") == items["docker-group"]


def test_an_account_without_pull_sees_groups_only(server: Pierhead) -> None:
    assert [item["name"] for item in found(server, "/repositories", "svc-auditor")["items"]] == ["docker-group"]


def test_storage_counts_a_shared_blob_once(start_pierhead: StartPierhead) -> None:
    apart = {key: value for key, value in house().items() if key != "stages"}  # or it would count as promoted
    server = start_pierhead(apart)
    pushed = image(seed=1)
    with server.wire("main") as wire:
        wire.push("docker-hosted-dev/a", "1", pushed)
        wire.push("docker-hosted-uat/a", "1", pushed)
    told = found(server, "/storage")
    size = sum(blob.size for blob in pushed.blobs)
    assert (told["blobs"], told["blob_bytes"], told["tags"], told["images"]) == (2, size, 2, 2)
    by_name = {one["name"]: one["bytes"] for one in told["by_repository"]}
    assert by_name == {"docker-hosted-dev": size, "docker-hosted-uat": size, "docker-hosted-prod": 0}


def test_reclaim_is_shown_before_and_run_on_demand(start_pierhead: StartPierhead) -> None:
    soon = {"lease": "1s", "quarantine": "1s", "every": "1h"}
    server = start_pierhead(house(reclaim=soon, expiry={"keep_deleted": "0s"}))
    pushed = image(seed=2)
    blobs = sum(blob.size for blob in pushed.blobs)
    with server.wire("docker-hosted-dev") as wire:
        wire.push("gone/app", "1", pushed)
        wire.request("DELETE", f"/v2/gone/app/manifests/{pushed.digest}").expect(202)
    before = found(server, "/gc")
    assert before["bytes"] + before["leased_bytes"] == blobs

    def ran() -> bool:
        return bool(
            found(server, "/gc", method="POST")["left"]["bytes"] == 0 and not found(server, "/gc")["leased_blobs"]
        )

    wait_until(ran, 30, "nothing left to reclaim")
    assert found(server, "/gc")["blobs"] == 0


def test_an_upstream_is_told_with_its_state_before_and_after_it_is_lost(
    start_docker_registry: StartRegistry, start_pierhead: StartPierhead
) -> None:
    registry = start_docker_registry()
    with Wire(registry.port) as wire:
        wire.push("library/base", "1", image(seed=3))
    server = start_pierhead(house(registry.url))
    with server.wire("docker-group") as wire:
        wire.get_manifest("base", "1").expect(200)
    (told,) = found(server, "/upstreams")["items"]
    assert (told["repository"], told["circuit"], told["misses"]) == ("docker-proxy-dockerhub", "closed", 1)
    assert told["last_answer"] is not None
    names = [item["name"] for item in found(server, "/repositories/docker-proxy-dockerhub/images")["items"]]
    assert names == ["library/base"]
    short = found(server, "/repositories/docker-proxy-dockerhub/images/base/-/tags/1")
    assert (short["member"], short["digest"]) == ("docker-proxy-dockerhub", image(seed=3).digest)
    registry.stop()
    with server.wire("docker-group") as wire:
        wait_until(lambda: wire.get_manifest("base", "1").status == 200 and opened(server), 30, "an open circuit")
    (lost,) = found(server, "/status")["upstreams"]
    assert lost["stale"] > 0
    assert lost["reason"]
    assert lost["next_try"] is not None


def opened(server: Pierhead) -> bool:
    return bool(found(server, "/upstreams")["items"][0]["circuit"] != "closed")
