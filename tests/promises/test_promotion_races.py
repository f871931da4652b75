"""Promotions while images are deleted, space is reclaimed, and the program is killed: done whole or not begun."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.images import Index
from tests.peers.pierhead import Pierhead
from tests.promises.houses import DEV, UAT
from tests.promises.rails import ENVIRONMENT, ask, digest_at, listed, push, staged, three_platforms

IMAGES = 12
HASTY = {"lease": "1s", "quarantine": "1s", "every": "1s"}


def names(kind: str) -> list[str]:
    return [f"races/{kind}-{number}" for number in range(IMAGES)]


def whole(server: Pierhead, name: str, image: Index) -> None:
    """Every manifest and every byte is there."""
    with server.wire() as wire:
        at = f"{UAT}/{name}"
        assert wire.get_manifest(at, "1.0.0").expect(200).body == image.manifest.data
        for one in image.images:
            assert wire.get_manifest(at, one.digest).expect(200).body == one.manifest.data
            for blob in one.blobs:
                assert wire.get_blob(at, blob.digest).expect(200).body == blob.data


def absent(server: Pierhead, name: str, image: Index) -> None:
    """No manifest of it is there, by any name."""
    for reference in ("1.0.0", "current", image.digest, *(one.digest for one in image.images)):
        assert digest_at(server, UAT, name, reference) is None


def all_or_nothing(server: Pierhead, wanted: Sequence[str], images: Sequence[Index]) -> set[str]:
    """Names of those that are there, each whole and told of once."""
    rows = [row["image"] for row in listed(server, "?limit=1000&to=uat") if row["image"] in wanted]
    assert len(rows) == len(set(rows))
    for name, image in zip(wanted, images, strict=True):
        (whole if name in rows else absent)(server, name, image)
    with server.wire() as wire:
        events = wire.request("GET", "/api/v1/audit?kind=promoted&limit=1000").expect(200).json()["items"]
    assert sorted(one["image"] for one in events if one["image"] in wanted) == sorted(rows)
    return set(rows)


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(staged(reclaim=HASTY), environment=ENVIRONMENT) as started:
        yield started


def test_against_deletions_and_reclaim_what_is_promoted_stays_whole(server: Pierhead) -> None:
    wanted = names("deleted")
    images = [three_platforms(1000 + 3 * number) for number in range(IMAGES)]
    for name, image in zip(wanted, images, strict=True):
        push(server, name, "1.0.0", image)
    ready = threading.Barrier(2 * IMAGES)

    def promote(name: str) -> int:
        ready.wait(30)
        return ask(server, f"{name}:1.0.0", "uat").expect(200, 404, 409, 422).status

    def delete(name: str, image: Index) -> int:
        with server.wire() as wire:
            ready.wait(30)
            return wire.request("DELETE", f"/v2/{DEV}/{name}/manifests/{image.digest}").expect(202).status

    with ThreadPoolExecutor(2 * IMAGES) as pool:
        asked = [pool.submit(promote, name) for name in wanted]
        gone = [pool.submit(delete, name, image) for name, image in zip(wanted, images, strict=True)]
        statuses = [one.result() for one in asked]
        assert {one.result() for one in gone} == {202}
    for name, image in zip(wanted, images, strict=True):
        with server.wire() as wire:
            for one in image.images:
                wire.request("DELETE", f"/v2/{DEV}/{name}/manifests/{one.digest}").expect(202)
    with server.wire() as wire:
        for _ in range(3):
            wire.request("POST", "/api/v1/gc").expect(200)
    there = all_or_nothing(server, wanted, images)
    assert there == {name for name, status in zip(wanted, statuses, strict=True) if status == 200}


@pytest.mark.slow
def test_after_a_kill_in_the_midst_each_is_done_or_not_begun(server: Pierhead) -> None:
    wanted = names("killed")
    images = [three_platforms(2000 + 3 * number) for number in range(IMAGES)]
    for name, image in zip(wanted, images, strict=True):
        push(server, name, "1.0.0", image)
    told = threading.Semaphore(0)
    acknowledged: list[str] = []

    def promote(name: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(server, f"{name}:1.0.0", "uat").status == 200:
                acknowledged.append(name)
                told.release()

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(promote, name) for name in wanted]
        for _ in range(3):
            assert told.acquire(timeout=30)
        server.kill()
        for one in work:
            one.result()
    server.start()
    there = all_or_nothing(server, wanted, images)
    assert set(acknowledged) <= there
    for name in wanted:
        assert ask(server, f"{name}:1.0.0", "uat").expect(200).json()["state"] == "done"
    assert all_or_nothing(server, wanted, images) == set(wanted)
