"""The example house with an upstream that has a base image: what the tests with real clients are run against."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.peers.engine import DockerEngine
from tests.peers.images import Image, Index, image, index, layer
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.peers.program import hello_program
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP

BASE = "python:3.12-slim"


@dataclass(frozen=True)
class Shop:
    """A running program. `base` is what the upstream keeps as library/python:3.12-slim."""

    server: Pierhead
    base: Image

    @property
    def push(self) -> str:
        """host:port that takes pushes."""
        return self.server.address(DEV)

    @property
    def pull(self) -> str:
        """host:port that everything is pulled from."""
        return self.server.address(GROUP)

    @property
    def main(self) -> str:
        """host:port that has every repository by path."""
        return self.server.address()

    def password(self, account: str) -> str:
        return self.server.admin_password if account == "admin" else PASSWORDS[account]

    def digest(self, name: str, reference: str, port: str = GROUP) -> str:
        """What the server says that a tag is."""
        with self.server.wire(port) as wire:
            return str(wire.get_manifest(name, reference).expect(200).headers["Docker-Content-Digest"])


@contextlib.contextmanager
def open_shop(upstream: DockerRegistry) -> Iterator[Shop]:
    """Start it. The upstream gets the base image."""
    base = image([layer({"bin/python": hello_program(b"python here\n")}, docker=True, mode=0o755)], docker=True)
    with Wire(upstream.port) as wire:
        wire.push("library/python", "3.12-slim", base)
    with Pierhead(house(upstream.url)) as server:
        yield Shop(server, base)


def runnable(seed: int, words: bytes = b"hello from the pier\n") -> Image:
    """An image that an engine can run: it says `words`."""
    return image(
        [layer({"hello": hello_program(words)}, docker=True, mode=0o755)], docker=True, command=["/hello"], seed=seed
    )


def two_platforms(seed: int) -> Index:
    """An index of two images."""
    return index({"linux/amd64": image(seed=seed), "linux/arm64": image(seed=seed + 1, architecture="arm64")})


def pushed_digest(output: str) -> str:
    """What `docker push` says at its end."""
    found = re.search(r"digest: (sha256:[0-9a-f]{64}) size: ", output)
    assert found, output
    return found[1]


def pulled_digest(engine: DockerEngine, name: str) -> str:
    """The digest that an engine remembers of an image that it has pulled."""
    told = json.loads(engine.docker("image", "inspect", "--format", "{{json .RepoDigests}}", name).stdout)
    repository = name.rpartition(":")[0]
    return str(next(one for one in told if one.startswith(f"{repository}@")).partition("@")[2])
