"""Clients that share no code with docker and skopeo: containerd's own, oras-py, and python-dxf."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import dxf
import oras.client  # type: ignore[import-untyped]
import pytest
import requests

from tests.peers.containerd import Containerd
from tests.peers.fixtures import made
from tests.peers.images import image, index
from tests.peers.pierhead import PASSWORDS, Pierhead, house
from tests.promises.certificates import Certificates

pytestmark = [pytest.mark.server]

PUSH, PULL, MAIN = "docker-hosted-dev", "docker-group", "main"
PUBLISHER, DEPLOYER = "svc-orchestrator", "svc-deploy"
WAYS = [
    pytest.param((PUSH, ""), (PULL, ""), id="by port"),
    pytest.param((MAIN, "docker-hosted-dev/"), (MAIN, "docker-group/"), id="by path"),
]
Way = tuple[str, str]


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with made(Containerd) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[Pierhead]:
    with Pierhead(house(tls=certificates.settings, external_url="https://auto:main")) as server:
        yield server


def login(account: str) -> str:
    return f"{account}:{PASSWORDS[account]}"


def fresh() -> str:
    return f"orchestrator/x{uuid.uuid4().hex[:12]}"


def named(server: Pierhead, way: Way, name: str, tag: str) -> str:
    return f"{server.address(way[0])}/{way[1]}{name}:{tag}"


@pytest.mark.parametrize(("push", "pull"), WAYS)
def test_containerd_pulls_an_index_through_the_group_and_pushes_it_under_another_name(
    pierhead: Pierhead, containerd: Containerd, push: Way, pull: Way
) -> None:
    one, other = image(seed=801), image(seed=802, architecture="arm64")
    both, name, copied = index({"linux/amd64": one, "linux/arm64": other}), fresh(), fresh()
    with pierhead.wire(PUSH) as wire:
        wire.push(name, "1", both)
    source, target = named(pierhead, pull, name, "1"), named(pierhead, push, copied, "2")
    containerd.fetch(source, login(DEPLOYER))
    for part in (both.manifest, one.manifest, one.layers[0]):
        assert containerd.content(part.digest) == part.data
    containerd.ctr("images", "tag", source, target)
    containerd.push(target, login(PUBLISHER))
    with pierhead.wire(PULL) as wire:
        assert wire.get_manifest(copied, "2").expect(200).body == both.manifest.data


def test_containerd_with_a_wrong_password_gets_nothing(pierhead: Pierhead, containerd: Containerd) -> None:
    name = fresh()
    with pierhead.wire(PUSH) as wire:
        wire.push(name, "1", image(seed=803))
    source = named(pierhead, (PULL, ""), name, "1")
    refused = containerd.fetch(source, f"{DEPLOYER}:wrong", check=False)
    assert refused.returncode != 0
    assert "401 Unauthorized" in refused.stderr
    containerd.fetch(source, login(DEPLOYER))


@pytest.mark.parametrize(("push", "pull"), WAYS)
def test_oras_pushes_an_artifact_and_pulls_it_back(pierhead: Pierhead, tmp_path: Path, push: Way, pull: Way) -> None:
    name, sent = fresh(), tmp_path / "report.json"
    sent.write_text('{"findings": []}')
    publisher = oras.client.OrasClient(hostname=pierhead.address(push[0]), insecure=True, auth_backend="basic")
    publisher.auth.set_basic_auth(PUBLISHER, PASSWORDS[PUBLISHER])
    publisher.push(
        target=named(pierhead, push, name, "scan"), files=[f"{sent}:application/json"], disable_path_validation=True
    )
    reader = oras.client.OrasClient(hostname=pierhead.address(pull[0]), insecure=True, auth_backend="basic")
    reader.auth.set_basic_auth(DEPLOYER, PASSWORDS[DEPLOYER])
    (got,) = reader.pull(target=named(pierhead, pull, name, "scan"), outdir=str(tmp_path / "out"))
    assert Path(got).read_text() == sent.read_text()
    assert reader.get_tags(named(pierhead, pull, name, "scan").rpartition(":")[0]) == ["scan"]


@pytest.mark.parametrize(("push", "pull"), WAYS)
def test_dxf_pushes_blobs_and_an_alias_and_reads_them_back(
    secure: Pierhead, certificates: Certificates, tmp_path: Path, push: Way, pull: Way
) -> None:
    """It sends no password where there is no TLS."""
    name, sent = fresh(), tmp_path / "blob"
    sent.write_bytes(b"some bytes " * 5_000)

    def session(way: Way, account: str) -> dxf.DXF:
        def sign_in(client: dxf.DXFBase, response: requests.Response) -> None:
            client.authenticate(account, PASSWORDS[account], response=response)

        address = secure.address(way[0])
        return dxf.DXF(address, f"{way[1]}{name}", auth=sign_in, tlsverify=str(certificates.ca))

    with session(push, PUBLISHER) as publisher:
        digest = publisher.push_blob(str(sent))
        publisher.set_alias("latest", digest)
    with session(pull, DEPLOYER) as reader:
        assert reader.get_alias("latest") == [digest]
        pieces = reader.pull_blob(digest)
        assert not isinstance(pieces, tuple)
        assert b"".join(pieces) == sent.read_bytes()
        assert reader.list_aliases() == ["latest"]
    sent.write_bytes(b"others " * 5_000)
    with pytest.raises(requests.HTTPError, match="403"), session(push, DEPLOYER) as outsider:
        outsider.push_blob(str(sent))
