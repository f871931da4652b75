"""The two example files, as they are shipped: they start, and answer as the house that they describe does.

Ports are exchanged for free ones, and Docker Hub for a docker-registry.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.images import Image, image
from tests.peers.pierhead import Pierhead
from tests.peers.processes import wait_until
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP, PROD, UAT
from tests.promises.shared_house import PROXY, SECRETS, SHARED_PORTS, as_account, example


@pytest.fixture(scope="module")
def shared(docker_registry: DockerRegistry) -> Iterator[Pierhead]:
    text = example("shared.yaml", SHARED_PORTS, docker_registry.url)
    with Pierhead(text, environment=SECRETS) as server:
        yield server


@pytest.fixture(scope="module")
def stacked(shared: Pierhead, docker_registry: DockerRegistry) -> dict[str, Image]:
    """An image of the same name and tag in each member, and what each of them holds, in the order of the group."""
    names = (PROD, UAT, DEV, PROXY)
    images = {name: image(seed=100 + n) for n, name in enumerate(names)}
    with shared.wire() as admin, Wire(docker_registry.port) as hub:
        hub.push("team/stacked", "1.0.0", images[PROXY])
        for name in (DEV, UAT, PROD):
            admin.push(f"{name}/team/stacked", "1.0.0", images[name])
    return images


def test_the_group_asks_prod_uat_dev_and_the_hub_in_this_order(shared: Pierhead, stacked: dict[str, Image]) -> None:
    with shared.wire(GROUP) as group, shared.wire() as admin:
        for member, one in stacked.items():
            found = group.get_manifest("team/stacked", "1.0.0").expect(200)
            assert found.headers["Docker-Content-Digest"] == one.digest, member
            assert group.get_blob("team/stacked", one.layers[0].digest).expect(200).body == one.layers[0].data
            if member != PROXY:
                admin.request("DELETE", f"/v2/{member}/team/stacked/manifests/1.0.0").expect(202)


def test_each_digest_is_found_in_whichever_member_has_it(shared: Pierhead) -> None:
    with shared.wire(GROUP) as group, shared.wire() as admin:
        for n, member in enumerate((PROD, UAT, DEV)):
            one = image(seed=200 + n)
            admin.push(f"{member}/team/spread", f"in-{n}", one)
            assert group.get_manifest("team/spread", one.digest).expect(200).body == one.manifest.data
        assert group.tags("team/spread") == ["in-0", "in-1", "in-2"]


def test_a_name_of_the_house_is_never_asked_of_the_hub(shared: Pierhead, docker_registry: DockerRegistry) -> None:
    with Wire(docker_registry.port) as hub:
        hub.push("orchestrator/stolen", "1.0.0", image(seed=300))
    pushed = len(docker_registry.requests())
    with shared.wire(GROUP) as group:
        group.get_manifest("orchestrator/stolen", "1.0.0").expect(404)
        group.get_manifest("orchestrator/stolen", image(seed=300).digest).expect(404)
        group.get_blob("orchestrator/stolen", image(seed=300).layers[0].digest).expect(404)
        group.get_manifest("team/no-such", "1.0.0").expect(404)
    wait_until(lambda: any("no-such" in line for line in docker_registry.requests()[pushed:]), 5, "the log is written")
    assert not [line for line in docker_registry.requests()[pushed:] if "stolen" in line]


def test_base_images_come_with_and_without_library(shared: Pierhead, docker_registry: DockerRegistry) -> None:
    base = image(seed=400)
    with Wire(docker_registry.port) as hub:
        hub.push("library/node", "20-alpine", base)
    with as_account(shared, "svc-deployer", GROUP) as group:
        for name in ("node", "library/node"):
            assert group.get_manifest(name, "20-alpine").expect(200).body == base.manifest.data


OWN, DATA, FOREIGN = "orchestrator/server", "datastore/loader", "team/app"
# Account, repository, image: what a push and a pull are answered.
RIGHTS = [
    ("svc-orchestrator", DEV, OWN, 201, 200),
    ("svc-orchestrator", DEV, DATA, 403, 200),
    ("svc-orchestrator", DEV, FOREIGN, 403, 200),
    ("svc-orchestrator", UAT, OWN, 403, 200),
    ("svc-orchestrator", PROD, OWN, 403, 200),
    ("svc-datastore", DEV, DATA, 201, 200),
    ("svc-datastore", DEV, OWN, 403, 404),
    ("svc-datastore", UAT, DATA, 403, 200),
    ("svc-datastore", PROD, OWN, 403, 404),
    ("svc-deployer", DEV, OWN, 403, 200),
    ("svc-deployer", PROD, DATA, 403, 200),
    ("svc-promoter", DEV, OWN, 403, 200),
    ("svc-admin", DEV, FOREIGN, 201, 200),
    ("svc-admin", UAT, OWN, 201, 200),
    ("svc-admin", PROD, OWN, 201, 200),
]


@pytest.mark.parametrize(("account", "repository", "name", "pushes", "pulls"), RIGHTS)
def test_each_account_does_what_its_role_lets_it(
    shared: Pierhead, account: str, repository: str, name: str, pushes: int, pulls: int
) -> None:
    one = image(seed=500)
    with shared.wire() as admin, as_account(shared, account) as wire:
        admin.push(f"{repository}/{name}", "by-admin", one)
        answer = wire.put_manifest(f"{repository}/{name}", f"by-{account}", one.manifest).expect(pushes)
        assert pushes == 201 or answer.code == "DENIED"
        found = wire.get_manifest(f"{repository}/{name}", "by-admin").expect(pulls)
        assert pulls == 200 or found.code == "MANIFEST_UNKNOWN"


def test_an_account_whose_secret_is_not_there_is_disabled_and_everything_else_is_served(
    docker_registry: DockerRegistry,
) -> None:
    text = example("shared.yaml", {8081: "main", 8443: DEV, 8444: GROUP}, docker_registry.url)
    some = {name: secret for name, secret in SECRETS.items() if "DATASTORE" not in name}
    without = {"SVC_ORCHESTRATOR_PASSWORD": "x"}  # one that differs from the fixtures' own
    with Pierhead(text, environment={**some, **without}) as server:
        server.wait_for_log("SVC_DATASTORE_PASSWORD")
        assert server.wire(DEV, "svc-datastore", "datastore-secret").request("GET", "/v2/").status == 401
        assert server.wire(DEV, "svc-orchestrator", "x").request("GET", "/v2/").status == 200


def test_the_dev_environment_starts_and_serves(docker_registry: DockerRegistry) -> None:
    ports = {9081: "main", 9443: "docker-hosted", 9444: GROUP}
    base, own = image(seed=600), image(seed=601)
    with Wire(docker_registry.port) as hub:
        hub.push("library/python", "3.12-dev", base)
    with Pierhead(example("dev.yaml", ports, docker_registry.url), environment=SECRETS) as server:
        with as_account(server, "svc-orchestrator", "docker-hosted") as wire:
            wire.push("orchestrator/server", "main-a1b2c3d", own)
        with as_account(server, "svc-orchestrator", GROUP) as wire:
            assert wire.get_manifest("orchestrator/server", "main-a1b2c3d").expect(200).body == own.manifest.data
            assert wire.get_manifest("python", "3.12-dev").expect(200).body == base.manifest.data
