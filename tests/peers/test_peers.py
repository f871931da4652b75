"""The peers themselves: if one of these fails, tests that use it say nothing about Pierhead."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.clients import Buildah, Podman, Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.images import artifact, image, index, layer, layered_image, write_layout
from tests.peers.nginx import Nginx
from tests.peers.processes import PeerFailed
from tests.peers.program import hello_program
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire


def test_an_engine_pushes_and_pulls_an_image_made_without_any_network(
    docker_engine: DockerEngine, docker_registry: DockerRegistry
) -> None:
    name = f"{docker_registry.address}/peers/tiny:1"
    docker_engine.make_tiny_image(name)
    pushed = docker_engine.docker("push", name).stdout
    docker_engine.docker("rmi", name)
    pulled = docker_engine.docker("pull", name).stdout

    digest = pushed.split("digest: ")[1].split()[0]
    assert f"Digest: {digest}" in pulled
    with Wire(docker_registry.port) as wire:
        assert wire.get_manifest("peers/tiny", "1").headers["Docker-Content-Digest"] == digest


def test_an_engine_loads_an_image_of_several_layers_and_pushes_each(
    docker_engine: DockerEngine, docker_registry: DockerRegistry
) -> None:
    name = f"{docker_registry.address}/peers/layered:5"
    docker_engine.load(layered_image(5, docker=True), name)
    docker_engine.docker("push", name)
    with Wire(docker_registry.port) as wire:
        assert len(wire.get_manifest("peers/layered", "5").json()["layers"]) == 5


def test_an_engine_runs_what_it_pulled(docker_engine: DockerEngine, docker_registry: DockerRegistry) -> None:
    runnable = image([layer({"hello": hello_program()}, docker=True, mode=0o755)], docker=True, command=["/hello"])
    with Wire(docker_registry.port) as wire:
        wire.push("peers/hello", "1", runnable)
    assert docker_engine.run_image(f"{docker_registry.address}/peers/hello:1") == "hello from the pier\n"


def test_skopeo_copies_an_index_with_all_its_platforms(
    skopeo: Skopeo, docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    both = index({"linux/amd64": image(seed=1), "linux/arm64": image(seed=2, architecture="arm64")})
    write_layout(tmp_path / "layout", {"1": both})
    target = f"docker://{docker_registry.address}/peers/multi:1"
    skopeo("copy", "--all", f"oci:{tmp_path}/layout:1", target)
    assert json.loads(skopeo("inspect", "--raw", target).stdout) == json.loads(both.manifest.data)


def test_buildah_pushes_what_it_built_and_podman_pulls_it(
    buildah: Buildah, podman: Podman, docker_registry: DockerRegistry
) -> None:
    name = f"{docker_registry.address}/peers/built:1"
    buildah.make_image(name, {"etc/motd": b"built from nothing\n"})
    buildah("push", name)
    podman("pull", name)
    assert name in podman("images", "--format", "{{.Repository}}:{{.Tag}}").stdout


def test_a_small_client_pushes_and_pulls_the_same_bytes(docker_registry: DockerRegistry) -> None:
    pushed = image(seed=3, docker=True)
    with Wire(docker_registry.port) as wire:
        wire.push("peers/wire", "a", pushed)
        wire.push("peers/wire", "b", artifact(pushed))
        assert wire.get_manifest("peers/wire", "a").body == pushed.manifest.data
        assert wire.get_blob("peers/wire", pushed.layers[0].digest).body == pushed.layers[0].data
        assert sorted(wire.tags("peers/wire")) == ["a", "b"]  # this registry does not sort them


def test_nginx_passes_requests_on(start_nginx: Callable[[str], Nginx], docker_registry: DockerRegistry) -> None:
    front = start_nginx(f"server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass {docker_registry.url}; }} }}")
    with Wire(front.port) as wire:
        assert wire.request("GET", "/v2/").status == 200


def test_a_server_that_does_not_start_shows_the_end_of_its_log(start_nginx: Callable[[str], Nginx]) -> None:
    with pytest.raises(PeerFailed, match="no_such_directive"):
        start_nginx("no_such_directive;")


def test_a_client_that_fails_shows_what_it_printed(skopeo: Skopeo, docker_registry: DockerRegistry) -> None:
    with pytest.raises(PeerFailed, match="manifest unknown"):
        skopeo("inspect", f"docker://{docker_registry.address}/peers/nothing:here")


def test_nothing_is_left_of_a_stopped_server() -> None:
    with DockerRegistry() as server:
        pid, folder = server.pid, server.folder
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
