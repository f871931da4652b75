"""The usual mistakes, made with real clients: what a person reads names the right port, command or tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.clients import Buildah, Podman, Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import image, write_layout
from tests.peers.registry import DockerRegistry
from tests.promises.houses import DEV, PROD, UAT
from tests.promises.shop import BASE, Shop, open_shop, runnable

SERVER = "orchestrator/server"


@pytest.fixture(scope="module")
def shop(docker_registry: DockerRegistry) -> Iterator[Shop]:
    with open_shop(docker_registry) as opened:
        yield opened


@pytest.fixture
def docker(docker_engine: DockerEngine, shop: Shop) -> DockerEngine:
    """An engine that is signed in as the publisher on all three ports."""
    for address in (shop.push, shop.pull, shop.main):
        docker_engine.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    return docker_engine


@pytest.fixture
def skopeo_in(skopeo: Skopeo, shop: Shop, tmp_path: Path) -> Skopeo:
    """skopeo, signed in as the publisher, with two images in a layout at `tmp_path`."""
    for address in (shop.push, shop.pull, shop.main):
        skopeo.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    write_layout(tmp_path / "in", {"1": image(seed=1), "2": image(seed=2)})
    return skopeo


def refused_push(engine: DockerEngine, name: str, seed: int = 1) -> str:
    """What `docker push` prints when it fails."""
    engine.load(runnable(seed), name)
    done = engine.docker("push", name, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def refused(done_returncode: int, text: str) -> str:
    assert done_returncode != 0, text
    return text


# Row 1: pushed to the port that is for pulling.


def for_pulling(shop: Shop, name: str) -> str:
    port = shop.pull.rpartition(":")[2]
    return f"This port ({port}) is for pulling. Push to {shop.push}/{name}."


def test_docker_that_pushes_to_the_pull_port_is_told_where_to_push(docker: DockerEngine, shop: Shop) -> None:
    said = refused_push(docker, f"{shop.pull}/{SERVER}:1.0.0")
    assert f"unsupported: {for_pulling(shop, SERVER)}" in said


@pytest.mark.parametrize("client", ["skopeo", "buildah", "podman"])
def test_so_are_the_others(
    client: str, skopeo_in: Skopeo, buildah: Buildah, podman: Podman, shop: Shop, tmp_path: Path
) -> None:
    target, source = f"docker://{shop.pull}/{SERVER}:1.0.0", f"oci:{tmp_path}/in:1"
    if client == "skopeo":
        done = skopeo_in("copy", source, target, check=False)
    elif client == "buildah":
        buildah.login(shop.pull, "svc-orchestrator", shop.password("svc-orchestrator"))
        done = buildah("push", buildah("pull", source).stdout.split()[-1], target, check=False)
    else:
        podman.login(shop.pull, "svc-orchestrator", shop.password("svc-orchestrator"))
        done = podman("push", podman("pull", source).stdout.split()[-1], target, check=False)
    assert for_pulling(shop, SERVER) in refused(done.returncode, done.stderr)


def test_a_push_to_a_group_or_a_proxy_by_path_is_told_where_to_push(docker: DockerEngine, shop: Shop) -> None:
    for repository in ("docker-group", "docker-proxy-dockerhub"):
        said = refused_push(docker, f"{shop.main}/{repository}/{SERVER}:1.0.0")
        assert f"unsupported: {repository} takes no pushes. Push to {shop.push}/{SERVER}." in said


def test_an_image_on_the_main_port_without_its_repository_is_told_the_port_for_it(
    docker: DockerEngine, skopeo_in: Skopeo, shop: Shop, tmp_path: Path
) -> None:
    told = f"There is no repository `orchestrator` here. Push to {shop.push}/{SERVER}."
    assert told in refused_push(docker, f"{shop.main}/{SERVER}:1.0.0")
    done = skopeo_in("copy", f"oci:{tmp_path}/in:1", f"docker://{shop.main}/{SERVER}:1.0.0", check=False)
    assert told in refused(done.returncode, done.stderr)
    for name in (BASE, f"library/{BASE}", f"{SERVER}:1.0.0"):
        done = docker.docker("pull", f"{shop.main}/{name}", check=False)
        assert f"Pull {shop.pull}/{name}." in refused(done.returncode, done.stderr)
    # Who may push nothing is not told where others do.
    with shop.server.wire("main", "svc-deploy") as wire:
        assert "Push to" not in wire.request("POST", f"/v2/{SERVER}/blobs/uploads/", b"").expect(404).message


# Row 2: a base image, asked of the port that is for pushing.


def from_the_pull_port(shop: Shop, image_and_tag: str) -> str:
    return f"{image_and_tag} is not in {DEV}. Docker Hub images come from {shop.pull}/{image_and_tag}."


@pytest.mark.parametrize("name", [BASE, f"library/{BASE}"])
def test_docker_that_pulls_a_base_image_from_the_push_port_is_told_where_it_is(
    docker: DockerEngine, shop: Shop, name: str
) -> None:
    done = docker.docker("pull", f"{shop.push}/{name}", check=False)
    assert from_the_pull_port(shop, name) in refused(done.returncode, done.stderr)


@pytest.mark.parametrize("client", ["skopeo", "podman"])
def test_so_are_skopeo_and_podman(client: str, skopeo_in: Skopeo, podman: Podman, shop: Shop) -> None:
    if client == "skopeo":
        done = skopeo_in("inspect", f"docker://{shop.push}/{BASE}", check=False)
    else:
        podman.login(shop.push, "svc-orchestrator", shop.password("svc-orchestrator"))
        done = podman("pull", f"{shop.push}/{BASE}", check=False)
    assert from_the_pull_port(shop, BASE) in refused(done.returncode, done.stderr)


def test_the_address_that_is_named_has_the_base_image(docker: DockerEngine, shop: Shop) -> None:
    done = docker.docker("pull", f"{shop.push}/{BASE}", check=False)
    found = re.search(r"come from (\S+)\.\s", done.stderr + "\n")
    assert found, done.stderr
    docker.docker("pull", found[1])


def test_an_own_image_that_is_missing_is_not_said_to_be_on_docker_hub(docker: DockerEngine, shop: Shop) -> None:
    done = docker.docker("pull", f"{shop.push}/{SERVER}:9.9.9", check=False)
    assert done.returncode != 0
    assert "Docker Hub" not in done.stderr


# Row 8: a stage behind the first is filled by promotion.


@pytest.mark.parametrize(("repository", "stage"), [(UAT, "uat"), (PROD, "prod")])
def test_a_publisher_who_pushes_to_a_later_stage_is_told_how_it_is_filled(
    docker: DockerEngine, skopeo_in: Skopeo, shop: Shop, tmp_path: Path, repository: str, stage: str
) -> None:
    said = refused_push(docker, f"{shop.main}/{repository}/{SERVER}:1.4.1")
    wanted = rf"denied: {repository} is filled by promotion only: `pierhead promote {SERVER}:\S+ --to {stage}`\."
    assert re.search(wanted, said), said
    done = skopeo_in("copy", f"oci:{tmp_path}/in:1", f"docker://{shop.main}/{repository}/{SERVER}:1.4.1", check=False)
    assert re.search(wanted, refused(done.returncode, done.stderr)), done.stderr


def test_a_manifest_pushed_to_a_later_stage_is_refused_with_its_tag_in_the_command(shop: Shop) -> None:
    with shop.server.wire("main", "svc-orchestrator") as wire:
        answer = wire.put_manifest(f"{PROD}/{SERVER}", "1.4.1", image(seed=1).manifest).expect(403)
    assert answer.code == "DENIED"
    assert answer.message == f"{PROD} is filled by promotion only: `pierhead promote {SERVER}:1.4.1 --to prod`."


# Row 5: a tag that is written once.


def test_a_tag_that_is_written_once_says_what_it_holds_and_what_to_do(
    docker_engine: DockerEngine, skopeo: Skopeo, shop: Shop, tmp_path: Path
) -> None:
    name = f"{shop.main}/{UAT}/{SERVER}:1.4.0"
    docker_engine.login(shop.main, "admin", shop.password("admin"))
    skopeo.login(shop.main, "admin", shop.password("admin"))
    write_layout(tmp_path / "in", {"1": image(seed=1), "2": image(seed=2)})
    skopeo("copy", f"oci:{tmp_path}/in:1", f"docker://{name}")
    wanted = re.compile(
        rf"{SERVER}:1\.4\.0 cannot be overwritten because the repository is immutable: {UAT} holds "
        rf"{image(seed=1).digest[:15]}\S* since .+ \(.*admin.*\)\. "
        r"Use a new version; the same bytes would be accepted\."
    )
    said = refused_push(docker_engine, name, seed=7)
    assert wanted.search(said), said
    done = skopeo("copy", f"oci:{tmp_path}/in:2", f"docker://{name}", check=False)
    assert wanted.search(refused(done.returncode, done.stderr)), done.stderr
    skopeo("copy", f"oci:{tmp_path}/in:1", f"docker://{name}")


# Row 12: who are you?


@pytest.mark.parametrize("account", ["svc-orchestrator", "admin", "nobody-of-that-name"])
def test_a_login_with_a_wrong_password_is_refused(
    docker_engine: DockerEngine, skopeo: Skopeo, shop: Shop, account: str
) -> None:
    for address in (shop.push, shop.pull, shop.main):
        args = ("login", "--username", account, "--password-stdin", address)
        done = docker_engine.docker(*args, stdin=b"not-the-password", check=False)
        assert "unauthorized: Name or password is wrong." in refused(done.returncode, done.stderr)
    done = skopeo("login", "--username", account, "--password-stdin", shop.push, stdin=b"wrong", check=False)
    assert "invalid username/password" in refused(done.returncode, done.stderr)
    with shop.server.wire(DEV, account, "wrong") as wire:
        answer = wire.request("GET", "/v2/").expect(401)
    assert answer.code == "UNAUTHORIZED"
    assert answer.message == "Name or password is wrong."


def test_a_pull_without_a_login_says_so(docker_engine: DockerEngine, shop: Shop, tmp_path: Path) -> None:
    done = docker_engine.docker("pull", f"{shop.pull}/{BASE}", config_dir=tmp_path, check=False)
    said = refused(done.returncode, done.stderr)
    assert "Log in first" in said or "no basic auth credentials" in said


def test_a_deployer_who_pushes_is_told_that_he_may_not(docker_engine: DockerEngine, shop: Shop, tmp_path: Path) -> None:
    docker_engine.login(shop.push, "svc-deploy", shop.password("svc-deploy"))
    assert f"denied: svc-deploy may not push to {DEV}" in refused_push(docker_engine, f"{shop.push}/{SERVER}:1")
