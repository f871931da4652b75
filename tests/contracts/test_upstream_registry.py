"""The client against registries that behave: docker-registry, open and with accounts, and the honest double."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName
from tests.contracts.upstream import IMAGE, TAG, House, UpstreamContract, all_of, client, example_image, held
from tests.faults.dishonest_upstream import DishonestUpstream, Tokens
from tests.peers.fixtures import made
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire

BCRYPT_OF_SECRET = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
"""docker-registry takes nothing else; 16 rounds, so that it costs no time."""
EXTRA_TAGS = ("1.26", "latest", "sha256-" + "0" * 64)


def fill(wire: Wire) -> None:
    image = example_image()
    for tag in (TAG, *EXTRA_TAGS):
        wire.push(IMAGE, tag, image)


class TestOpenRegistry(UpstreamContract):
    @pytest.fixture
    async def house(self, docker_registry: DockerRegistry) -> AsyncIterator[House]:
        fill(Wire(docker_registry.port))
        async with client(docker_registry.url) as upstream:
            yield House(upstream, example_image(), (TAG, *EXTRA_TAGS))


@pytest.fixture(scope="module")
def registry_with_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    accounts = tmp_path_factory.mktemp("accounts") / "htpasswd"
    accounts.write_text(f"anna:{BCRYPT_OF_SECRET}\n")
    with made(lambda: DockerRegistry(htpasswd=accounts)) as registry:
        fill(Wire(registry.port, "anna", "secret"))
        yield registry


class TestRegistryWithBasic(UpstreamContract):
    @pytest.fixture
    async def house(self, registry_with_accounts: DockerRegistry) -> AsyncIterator[House]:
        async with client(registry_with_accounts.url, username="anna", password="secret") as upstream:
            yield House(upstream, example_image(), (TAG, *EXTRA_TAGS))


class TestHonestDouble(UpstreamContract):
    @pytest.fixture
    async def house(self) -> AsyncIterator[House]:
        async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as double:
            double.referrers = {}
            image = example_image()
            for blob in image.blobs:
                double.add_blob(blob.data)
            for tag in (TAG, *EXTRA_TAGS):
                double.add_manifest(IMAGE, tag, image.manifest.data, image.manifest.media_type)
            async with client(double.url, username="anna", password="secret") as upstream:
                yield House(upstream, image, (TAG, *EXTRA_TAGS))


async def test_a_path_of_the_address_is_a_folder_of_images_in_requests_and_in_scopes() -> None:
    async with DishonestUpstream(tokens=Tokens(users={"anna": "secret"})) as double:
        double.referrers = {}
        image = example_image()
        double.add_manifest(IMAGE, TAG, image.manifest.data, image.manifest.media_type)
        blob = image.blobs[0]
        double.add_blob(blob.data)
        folder, _, rest = IMAGE.partition("/")
        async with client(f"{double.url}/{folder}/", username="anna", password="secret") as upstream:
            assert await upstream.probe()
            name = ImageName(rest)
            assert held(await upstream.manifest(name, TAG)).body == image.manifest.data
            assert await upstream.tags(name) == (TAG,)
            assert await all_of(await upstream.blob(name, Digest.parse(blob.digest))) == blob.data
