"""A disk with no byte left: what is not needed can be deleted, and everything is taken again once that is gone."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.peers.images import Image, image, random_layer
from tests.peers.pierhead import Pierhead
from tests.peers.processes import PeerFailed, wait_until
from tests.promises.houses import DEV, hosted_only

pytestmark = [pytest.mark.server, pytest.mark.slow]

MIB = 1 << 20
RESERVE = 4 * MIB
SOON = {"lease": "1s", "quarantine": "1s", "every": "1s"}


@pytest.fixture
def small_disk(short_folder: Path) -> Iterator[Path]:
    """A file system of 64 MiB; the data folder of a server that is started in the folder above it."""
    place = short_folder / "data"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@functools.cache
def images(count: int) -> list[Image]:
    return [image([random_layer(2 * MIB, 900 + seed)], seed=900 + seed) for seed in range(count)]


def again(server: Pierhead) -> None:
    """Stops and starts it; jobs do not wait until the process before could not be doing them any more."""
    assert server.stop() == 0
    with apsw.Connection(str(server.data / "pierhead.db")) as database:
        database.execute("DELETE FROM job_leases")
    database.close()
    server.start()


def fill(place: Path) -> None:
    """To the last byte."""
    with (place / "ballast").open("ab", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def deleted(server: Pierhead, number: int, what: Image) -> int:
    with server.wire(DEV) as wire:
        return wire.request("DELETE", f"/v2/full/app-{number}/manifests/{what.digest}").status


def told(server: Pierhead) -> list[dict[str, Any]]:
    with server.wire() as wire:
        found: list[dict[str, Any]] = wire.request("GET", "/api/v1/audit?kind=reserve").expect(200).json()["items"]
    return found


def pushes(server: Pierhead, name: str) -> bool:
    try:
        with server.wire(DEV) as wire:
            wire.push(name, "1", image([random_layer(200_000, 77)], seed=77))
    except PeerFailed:
        return False
    return True


def status(server: Pierhead) -> dict[str, Any]:
    with server.wire() as wire:
        found: dict[str, Any] = wire.request("GET", "/api/v1/status").expect(200).json()
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_on_a_full_disk_deletions_find_room_and_nothing_else_does_until_they_have_made_some(
    small_disk: Path, workers: int
) -> None:
    gone = {"keep_deleted": "0s"}
    config = hosted_only(limits={"reserve_bytes": "4MiB"}, reclaim=SOON, expiry=gone)
    reserve = small_disk / "pierhead.reserve"
    with Pierhead(config, small_disk.parent, arguments=["--workers", str(workers)]) as server:
        wait_until(lambda: reserve.exists() and reserve.stat().st_size == RESERVE, 20, "the reserve")
        assert reserve.stat().st_blocks * 512 >= RESERVE, "a hole would be no reserve"
        assert reserve.stat().st_mode & 0o777 == 0o600
        made = images(8)
        with server.wire(DEV) as wire:
            for number, one in enumerate(made):
                wire.push(f"full/app-{number}", "1", one)
        again(server)  # with a log of changes that has no room of its own yet
        fill(small_disk)
        assert free(small_disk) == 0
        assert not pushes(server, "full/refused")
        assert reserve.stat().st_size == RESERVE, "a push does not get it"
        assert [deleted(server, number, one) for number, one in enumerate(made)] == [202] * 8
        server.wait_for_log("A reserve of 4 MiB is given up", 20)
        wait_until(lambda: reserve.stat().st_size == RESERVE, 60, "the reserve is back")
        wait_until(lambda: pushes(server, "full/later"), 60, "pushes are taken again")
        assert [event["state"] for event in told(server)] == ["whole", "given up"]
        assert "Traceback" not in server.log


def test_while_the_reserve_is_given_up_pushes_are_refused_and_a_start_goes_well(small_disk: Path) -> None:
    config = hosted_only(limits={"reserve_bytes": "4MiB"})  # nothing is reclaimed within the test
    reserve = small_disk / "pierhead.reserve"
    with Pierhead(config, small_disk.parent) as server:
        wait_until(lambda: reserve.exists() and reserve.stat().st_size == RESERVE, 20, "the reserve")
        made = images(2)
        with server.wire(DEV) as wire:
            for number, one in enumerate(made):
                wire.push(f"full/app-{number}", "1", one)
        assert server.stop() == 0
        fill(small_disk)
        server.start()
        assert deleted(server, 0, made[0]) == 202
        assert reserve.stat().st_size == 0
        assert free(small_disk) > 0, "there would be room for a small push"
        with server.wire(DEV) as wire:
            refused = wire.request("POST", "/v2/full/late/blobs/uploads/?digest=" + made[0].layers[0].digest, b"x")
            assert (refused.status, refused.code) == (503, "UNAVAILABLE")
            assert "The disk is full: pushes are refused, pulls work." in refused.message
            assert wire.get_blob("full/app-1", made[1].layers[0].digest).status == 200
        said = status(server)
        assert (said["storage"]["reserve_bytes"], said["storage"]["reserve_given_up"]) == (0, True)
        assert any("its reserve is given up" in warning for warning in said["warnings"])
        with server.wire() as wire:
            assert "\npierhead_disk_reserve_bytes 0" in wire.request("GET", "/metrics").body.decode()
        server.restart()
        assert not pushes(server, "full/refused")
        assert deleted(server, 1, made[1]) == 202
        (small_disk / "ballast").unlink()
        wait_until(lambda: pushes(server, "full/later"), 60, "pushes are taken again")
        assert [event["state"] for event in told(server)] == ["whole", "given up"]


def test_without_a_reserve_there_is_no_file(small_disk: Path) -> None:
    (small_disk / "pierhead.reserve").write_bytes(bytes(10))
    with Pierhead(hosted_only(limits={"reserve_bytes": "0B"}), small_disk.parent) as server:
        wait_until(lambda: not (small_disk / "pierhead.reserve").exists(), 20, "it is taken away")
        assert pushes(server, "full/app")
