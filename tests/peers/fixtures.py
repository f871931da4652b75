"""Peers as pytest fixtures. A test that asks for one that cannot be had here is skipped, with the reason.

| fixture | scope | what |
|---|---|---|
| `pierhead` | module | the program with the example house (`tests.peers.pierhead.house`) |
| `start_pierhead` | function | `start_pierhead(config, environment=…, arguments=…)`, as often as wanted |
| `docker_registry` | session | docker-registry, shared: use image names of your own |
| `start_docker_registry` | function | one to stop, cut and start again |
| `docker_engine` | session | dockerd; `docker_engine.docker("push", …)` |
| `skopeo`, `buildah`, `podman` | function | callables with credentials and storage of their own |
| `browser` | session | Chromium; `browser.visitor()` is one person, with cookies of their own |
| `start_nginx` | function | `start_nginx("server { listen 127.0.0.1:{port}; … }")` |
| `start_openbao` | function | `start_openbao(tls=…, initialised=…)`: Vault's API, empty; it starts at once |
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.peers.browser import Browser
from tests.peers.clients import Buildah, Podman, Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.nginx import Nginx
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import PeerMissing, Server
from tests.peers.registry import DockerRegistry

Made = TypeVar("Made")
Started = TypeVar("Started", bound=Server)


def made(make: Callable[[], Made]) -> Made:
    """What `make` makes; the test is skipped if the program for it is missing."""
    try:
        return make()
    except PeerMissing as missing:
        pytest.skip(str(missing))


class StartPierhead(Protocol):
    def __call__(
        self,
        config: Config | str | None = None,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> Pierhead: ...


class StartRegistry(Protocol):
    def __call__(self, *, delete: bool = True, htpasswd: Path | None = None) -> DockerRegistry: ...


class StartOpenBao(Protocol):
    def __call__(self, *, initialised: bool = True, tls: bool = False) -> OpenBao: ...


@pytest.fixture
def start_pierhead() -> Iterator[StartPierhead]:
    with contextlib.ExitStack() as stack:

        def start(
            config: Config | str | None = None,
            *,
            folder: Path | None = None,
            environment: Mapping[str, str] | None = None,
            arguments: Sequence[str] = (),
        ) -> Pierhead:
            return stack.enter_context(Pierhead(config, folder, environment=environment, arguments=arguments))

        yield start


@pytest.fixture(scope="module")
def pierhead() -> Iterator[Pierhead]:
    with Pierhead() as server:
        yield server


@pytest.fixture(scope="session")
def docker_registry() -> Iterator[DockerRegistry]:
    with made(DockerRegistry) as server:
        yield server


@pytest.fixture
def start_docker_registry() -> Iterator[StartRegistry]:
    with contextlib.ExitStack() as stack:

        def start(*, delete: bool = True, htpasswd: Path | None = None) -> DockerRegistry:
            return stack.enter_context(made(lambda: DockerRegistry(delete=delete, htpasswd=htpasswd)))

        yield start


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    with made(DockerEngine) as engine:
        yield engine


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short name: podman wants its run root within 50 characters, and sockets have to fit in 107."""
    with tempfile.TemporaryDirectory(prefix="ph-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def skopeo(short_folder: Path) -> Skopeo:
    return made(lambda: Skopeo(short_folder))


@pytest.fixture
def buildah(short_folder: Path) -> Buildah:
    return made(lambda: Buildah(short_folder))


@pytest.fixture
def podman(short_folder: Path) -> Podman:
    return made(lambda: Podman(short_folder))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with its module: while it lives, its thread counts as one in which an event loop runs, and no asynchronous
    test of another module can."""
    chromium = made(Browser)
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture
def start_nginx() -> Iterator[Callable[[str], Nginx]]:
    with contextlib.ExitStack() as stack:

        def start(servers: str) -> Nginx:
            return stack.enter_context(made(lambda: Nginx(servers)))

        yield start


@pytest.fixture
def start_openbao() -> Iterator[StartOpenBao]:
    with contextlib.ExitStack() as stack:

        def start(*, initialised: bool = True, tls: bool = False) -> OpenBao:
            return stack.enter_context(made(lambda: OpenBao(initialised=initialised, tls=tls)))

        yield start
