"""Real clients push and pull, by port and by path: what comes back is what went in, to the last byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.clients import Buildah, Podman, Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.fixtures import made
from tests.peers.images import image, layer, random_layer, sha256, write_layout
from tests.peers.registry import DockerRegistry
from tests.promises.houses import DEV, GROUP
from tests.promises.shop import BASE, Shop, open_shop, pulled_digest, pushed_digest, runnable, two_platforms

ACCOUNTS = ["svc-orchestrator", "admin"]
# Where a client pushes to and pulls from: the two ports, or the main port by path.
WAYS = ["ports", "path"]


@pytest.fixture(scope="module")
def shop(docker_registry: DockerRegistry) -> Iterator[Shop]:
    with open_shop(docker_registry) as opened:
        yield opened


def places(shop: Shop, way: str, name: str) -> tuple[str, str]:
    """What the same image is called for a push and for a pull."""
    if way == "ports":
        return f"{shop.push}/{name}", f"{shop.pull}/{name}"
    return f"{shop.main}/{DEV}/{name}", f"{shop.main}/{GROUP}/{name}"


def addresses(shop: Shop, way: str) -> list[str]:
    return [shop.push, shop.pull] if way == "ports" else [shop.main]


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("way", WAYS)
def test_docker_logs_in_pushes_pulls_and_runs(docker_engine: DockerEngine, shop: Shop, way: str, account: str) -> None:
    name = f"orchestrator/{way}-{account}:1.0.0"
    push, pull = places(shop, way, name)
    config = docker_engine.folder / f"config-{way}-{account}"
    for address in addresses(shop, way):
        docker_engine.login(address, account, shop.password(account), config_dir=config)
    words = f"{name} speaks\n".encode()
    docker_engine.load(runnable(1, words), push)
    digest = pushed_digest(docker_engine.docker("push", push, config_dir=config).stdout)
    docker_engine.docker("image", "rm", push)
    docker_engine.docker("pull", pull, config_dir=config)
    assert pulled_digest(docker_engine, pull) == digest == shop.digest(name.partition(":")[0], "1.0.0")
    assert docker_engine.run_image(pull).encode() == words
    docker_engine.docker("image", "rm", pull)


@pytest.mark.parametrize("name", [BASE, f"library/{BASE}"])
def test_docker_pulls_a_base_image_through_the_pull_port(docker_engine: DockerEngine, shop: Shop, name: str) -> None:
    docker_engine.login(shop.pull, "svc-deploy", shop.password("svc-deploy"))
    docker_engine.docker("pull", f"{shop.pull}/{name}")
    assert pulled_digest(docker_engine, f"{shop.pull}/{name}") == shop.base.digest
    docker_engine.docker("image", "rm", f"{shop.pull}/{name}")


def test_docker_pulls_by_digest_what_it_pushed_by_tag(docker_engine: DockerEngine, shop: Shop) -> None:
    push, pull = places(shop, "ports", "orchestrator/by-digest")
    for address in addresses(shop, "ports"):
        docker_engine.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    docker_engine.load(runnable(2), f"{push}:1")
    digest = pushed_digest(docker_engine.docker("push", f"{push}:1").stdout)
    docker_engine.docker("image", "rm", f"{push}:1")
    assert digest in docker_engine.docker("pull", f"{pull}@{digest}").stdout


@pytest.fixture
def signed_in(skopeo: Skopeo, shop: Shop) -> Skopeo:
    """skopeo as the publisher on every port."""
    for address in (shop.push, shop.pull, shop.main):
        skopeo.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    return skopeo


@pytest.mark.parametrize("way", WAYS)
def test_skopeo_copies_in_and_out_and_every_byte_is_the_same(
    signed_in: Skopeo, shop: Shop, way: str, tmp_path: Path
) -> None:
    one = image([random_layer(700_000, 3), layer({"etc/motd": b"same\n"})], seed=3)
    write_layout(tmp_path / "in", {"1": one})
    push, pull = places(shop, way, f"skopeo/{way}:1")
    signed_in("copy", "--preserve-digests", f"oci:{tmp_path}/in:1", f"docker://{push}")
    signed_in("copy", "--preserve-digests", f"docker://{pull}", f"dir:{tmp_path}/out")
    assert (tmp_path / "out/manifest.json").read_bytes() == one.manifest.data
    for blob in one.blobs:
        assert (tmp_path / "out" / blob.digest.removeprefix("sha256:")).read_bytes() == blob.data
    inspected = json.loads(signed_in("inspect", f"docker://{pull}").stdout)
    assert inspected["Digest"] == one.digest


def test_skopeo_copies_a_tag_to_its_uat_name_with_the_digest_unchanged(
    signed_in: Skopeo, shop: Shop, tmp_path: Path
) -> None:
    one = image(seed=4)
    write_layout(tmp_path / "in", {"1": one})
    server = f"docker://{shop.push}/orchestrator/server"
    signed_in("copy", f"oci:{tmp_path}/in:1", f"{server}:1.0.0")
    signed_in("copy", f"{server}:1.0.0", f"{server}:1.0.0-uat")
    assert shop.digest("orchestrator/server", "1.0.0-uat") == shop.digest("orchestrator/server", "1.0.0") == one.digest
    tags = json.loads(signed_in("list-tags", f"docker://{shop.pull}/orchestrator/server").stdout)["Tags"]
    assert tags == ["1.0.0", "1.0.0-uat"]


def test_skopeo_copies_an_index_with_all_its_platforms_in_and_out(
    signed_in: Skopeo, shop: Shop, tmp_path: Path
) -> None:
    both = two_platforms(10)
    write_layout(tmp_path / "in", {"1": both})
    push, pull = places(shop, "ports", "skopeo/multi:1")
    signed_in("copy", "--all", f"oci:{tmp_path}/in:1", f"docker://{push}")
    assert signed_in("inspect", "--raw", f"docker://{pull}").stdout.encode() == both.manifest.data
    signed_in("copy", "--all", f"docker://{pull}", f"oci:{tmp_path}/out:1")
    for one in both.images:
        for blob in (*one.blobs, one.manifest):
            written = tmp_path / "out/blobs/sha256" / blob.digest.removeprefix("sha256:")
            assert written.read_bytes() == blob.data


def test_skopeo_syncs_an_image_with_all_its_tags(signed_in: Skopeo, shop: Shop, tmp_path: Path) -> None:
    images = {f"1.{n}": image(seed=20 + n) for n in range(3)}
    write_layout(tmp_path / "in", dict(images))
    for tag in images:
        signed_in("copy", f"oci:{tmp_path}/in:{tag}", f"docker://{shop.push}/sync/source:{tag}")
    signed_in("sync", "--src", "docker", "--dest", "dir", f"{shop.pull}/sync/source", str(tmp_path / "out"))
    for tag, one in images.items():
        assert (tmp_path / f"out/source:{tag}/manifest.json").read_bytes() == one.manifest.data
    signed_in("sync", "--src", "dir", "--dest", "docker", str(tmp_path / "out"), f"{shop.push}/sync/copy")
    for tag, one in images.items():
        assert shop.digest("sync/copy/source", tag) == one.digest


def test_skopeo_deletes_as_admin_and_the_tag_is_gone_on_the_pull_port_at_once(
    signed_in: Skopeo, shop: Shop, tmp_path: Path
) -> None:
    write_layout(tmp_path / "in", {"1": image(seed=30), "2": image(seed=31)})
    for tag in ("1", "2"):
        signed_in("copy", f"oci:{tmp_path}/in:{tag}", f"docker://{shop.push}/skopeo/deleted:{tag}")
    refused = signed_in("delete", f"docker://{shop.push}/skopeo/deleted:1", check=False)
    assert refused.returncode != 0
    signed_in.login(shop.push, "admin", shop.password("admin"))
    signed_in("delete", f"docker://{shop.push}/skopeo/deleted:1")
    tags = json.loads(signed_in("list-tags", f"docker://{shop.pull}/skopeo/deleted").stdout)["Tags"]
    assert tags == ["2"]


@pytest.mark.parametrize("way", WAYS)
def test_buildah_builds_and_pushes_and_another_buildah_pulls_the_same(
    buildah: Buildah, shop: Shop, way: str, short_folder: Path
) -> None:
    push, pull = places(shop, way, f"buildah/{way}:1")
    for address in addresses(shop, way):
        buildah.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    context = short_folder / "build"
    context.mkdir()
    (context / "cargo.txt").write_text("twelve crates\n")
    (context / "Containerfile").write_text("FROM scratch\nCOPY cargo.txt /cargo.txt\nENV HARBOUR=north\n")
    buildah("build", "--tag", push, str(context))
    buildah("push", "--digestfile", str(context / "digest"), push)
    other = made(lambda: Buildah(short_folder / "other"))
    other.auth_file.write_text(buildah.auth_file.read_text())
    other("pull", pull)
    told = other("images", "--digests", "--format", "{{.Digest}} {{.Name}}:{{.Tag}}").stdout
    assert told.split() == [(context / "digest").read_text().strip(), pull]


def test_buildah_builds_on_a_base_image_from_the_pull_port(buildah: Buildah, shop: Shop, short_folder: Path) -> None:
    buildah.login(shop.pull, "svc-deploy", shop.password("svc-deploy"))
    context = short_folder / "build"
    context.mkdir()
    (context / "Containerfile").write_text(f'FROM {shop.pull}/{BASE}\nRUN ["/bin/python"]\n')
    assert "python here" in buildah("build", "--tag", "on-base:1", str(context)).stdout


@pytest.mark.parametrize("way", WAYS)
def test_podman_pushes_pulls_and_searches(podman: Podman, shop: Shop, way: str, short_folder: Path) -> None:
    push, pull = places(shop, way, f"podman/{way}:1")
    for address in addresses(shop, way):
        podman.login(address, "svc-orchestrator", shop.password("svc-orchestrator"))
    write_layout(short_folder / "in", {"1": image(seed=40)})
    loaded = podman("pull", f"oci:{short_folder}/in:1").stdout.split()[-1]
    podman("push", "--digestfile", str(short_folder / "digest"), loaded, push)
    podman("rmi", loaded)
    podman("pull", pull)
    digest = podman("image", "inspect", "--format", "{{.Digest}}", pull).stdout.strip()
    name = f"podman/{way}"
    assert digest == (short_folder / "digest").read_text().strip() == shop.digest(name, "1")
    found = podman("search", "--format", "{{.Name}}", f"{addresses(shop, way)[-1]}/{name}").stdout.split()
    assert any(one.endswith(name) for one in found)
    listed = podman("search", "--list-tags", pull.rpartition(":")[0]).stdout.split()
    assert listed == ["NAME", "TAG", pull.rpartition(":")[0], "1"]


def test_what_each_client_pushed_is_stored_under_the_digest_of_its_bytes(shop: Shop) -> None:
    """Runs last in this file, and looks at everything that the tests above have pushed."""
    seen = 0
    with shop.server.wire(DEV) as wire:
        for name in wire.request("GET", "/v2/_catalog").expect(200).json()["repositories"]:
            for tag in wire.tags(name):
                found = wire.get_manifest(name, tag).expect(200)
                assert found.headers["Docker-Content-Digest"] == sha256(found.body)
                seen += 1
    assert seen >= 10
