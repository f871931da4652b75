"""A stored file that goes or is cut under a running server: the pull that meets it makes it missing, and it heals."""

from __future__ import annotations

import contextlib
import http.client
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.images import Blob, Image, image, random_layer
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import wait_until
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP

APP = "team/app"
BROKEN_OFF = (http.client.HTTPException, OSError)

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=[1, 3], ids=["1-worker", "3-workers"])
def server(request: pytest.FixtureRequest, docker_registry: DockerRegistry) -> Iterator[Pierhead]:
    with Pierhead(house(docker_registry.url), arguments=["--workers", str(request.param)]) as started:
        yield started


def gone(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 1_000)


HARMS = pytest.mark.parametrize("harm", [gone, cut])


def made(seed: int) -> tuple[Image, Blob]:
    """An image, and its layer that has a file of its own, sent by the kernel."""
    big = random_layer(700_000, seed)
    return image([big], seed=seed), big


def file_of(server: Pierhead, blob: Blob) -> Path:
    hexed = blob.digest.partition(":")[2]
    found = sorted(
        (server.data / "blobs" / "sha256" / hexed[:2]).glob(f"{hexed}.*"), key=lambda one: one.stat().st_mtime
    )
    assert found, "the blob has no file"
    return found[-1]


def pulled(server: Pierhead, port: str, blob: Blob, name: str = APP) -> int:
    """The status of one pull, over a connection of its own; 0 if it broke off. What comes whole is right."""
    with server.wire(port) as wire:
        try:
            answer = wire.get_blob(name, blob.digest)
        except BROKEN_OFF:
            return 0
    assert answer.status != 200 or answer.body == blob.data
    return answer.status


def told_of(server: Pierhead, blob: Blob) -> list[dict[str, Any]]:
    with server.wire() as wire:
        items = wire.request("GET", "/api/v1/audit?kind=blob.damaged").expect(200).json()["items"]
    return [item for item in items if item["digest"] == blob.digest]


@HARMS
def test_a_pushed_blob_is_unknown_from_the_pull_on_that_met_it_until_it_is_pushed_again(
    server: Pierhead, harm: Callable[[Path], None]
) -> None:
    what, big = made(200 + (harm is cut))
    with server.wire(DEV) as wire:
        wire.push(APP, f"hosted-{harm.__name__}", what)
    assert pulled(server, DEV, big) == 200
    harm(file_of(server, big))
    assert pulled(server, DEV, big) in (0, 503)
    wait_until(lambda: pulled(server, DEV, big) == 404, 20, "the blob is missing")
    for _ in range(6):  # whichever worker it is
        with server.wire(GROUP) as wire:
            answer = wire.get_blob(APP, big.digest).expect(404)
        assert answer.code == "BLOB_UNKNOWN"
    (event,) = told_of(server, big)
    assert event["images"] == [f"{DEV}/{APP}"]
    assert ("gone" if harm is gone else "1000 bytes instead of") in event["why"]
    with server.wire(DEV) as wire:
        wire.push(APP, f"hosted-{harm.__name__}", what)
    assert [pulled(server, DEV, big) for _ in range(6)] == [200] * 6


@HARMS
def test_a_cached_blob_is_fetched_again_after_the_pull_that_met_it(
    server: Pierhead, docker_registry: DockerRegistry, harm: Callable[[Path], None]
) -> None:
    what, big = made(int(server.port()) * 2 + (harm is cut))
    name = f"cached/{harm.__name__}"
    with Wire(docker_registry.port) as wire:
        wire.push(name, "1", what)
    with server.wire(GROUP) as wire:
        wire.get_manifest(name, "1").expect(200)
        wire.get_blob(name, big.digest).expect(200)
    wait_until(lambda: bool(list(server.data.glob(f"blobs/sha256/*/{big.digest[7:]}.*"))), 20, "the blob is kept")
    assert pulled(server, GROUP, big, name) == 200
    harm(file_of(server, big))
    assert pulled(server, GROUP, big, name) in (0, 503)
    wait_until(lambda: pulled(server, GROUP, big, name) == 200, 20, "the blob is fetched again")
    assert [pulled(server, GROUP, big, name) for _ in range(6)] == [200] * 6
    assert len(told_of(server, big)) == 1


@pytest.mark.parametrize("ranges", ["bytes=300000-400000", "bytes=0-10,300000-400000"], ids=["one", "two"])
def test_a_range_that_meets_a_cut_file_makes_it_missing_as_well(server: Pierhead, ranges: str) -> None:
    what, big = made(300 + len(ranges))
    with server.wire(DEV) as wire:
        wire.push(APP, "ranges", what)
    cut(file_of(server, big))
    with server.wire(DEV) as wire, contextlib.suppress(*BROKEN_OFF):
        wire.get_blob(APP, big.digest, headers={"Range": ranges}).expect(503)
    wait_until(lambda: pulled(server, DEV, big) == 404, 20, "the blob is missing")


def test_a_client_that_leaves_and_a_file_that_may_not_be_read_put_no_blob_into_doubt(server: Pierhead) -> None:
    what, big = made(400)
    with server.wire(DEV) as wire:
        wire.push(APP, "left", what)
    folder = file_of(server, big).parent
    moved = folder.with_name("moved")
    folder.rename(moved)  # as when the disk that holds the blobs is not mounted
    try:
        assert pulled(server, DEV, big) == 503
        server.wait_for_log("the folders of blobs are not there", 20)
    finally:
        moved.rename(folder)
    assert pulled(server, DEV, big) == 200
    assert not told_of(server, big)
